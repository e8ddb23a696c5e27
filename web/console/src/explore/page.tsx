/** Explore: questions to the stored spans, and their answers as tables, lines, bars and heat maps. */

import { PageHeader } from "../ui";
import { Examples } from "./Examples";
import styles from "./explore.module.css";
import { Keep } from "./keep/Keep";
import { QuestionBar } from "./QuestionBar";
import { QuestionMenus } from "./QuestionMenus";
import { Results } from "./Results";
import { useExplore } from "./useExplore";

export function Page() {
	const explore = useExplore();
	const { asked, run } = explore;
	return (
		<>
			<PageHeader title="Explore">
				<QuestionMenus onAsk={run} />
			</PageHeader>
			<div className={styles.page}>
				<QuestionBar explore={explore} />
				{asked ? (
					<Results explore={explore}>
						<Keep asked={asked} />
					</Results>
				) : (
					<Examples onAsk={run} />
				)}
			</div>
		</>
	);
}
