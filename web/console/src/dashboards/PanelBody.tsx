/** What is in a panel: the answer to its question about the dashboard's time, asked again at the dashboard's pace. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { adviceFor } from "../api/ApiErrorNote";
import { hasCode } from "../api/client";
import { AnswerView } from "../charts/AnswerView";
import type { Bounds } from "../charts/heat";
import type { Stretch } from "../charts/series";
import { languageOf, mistakeOf } from "../query/asking/ask";
import { regionQuestion } from "../query/asking/plan";
import { CannotShow, shownQuery } from "../query/asking/shown";
import { MistakeNote } from "../query/editor/MistakeNote";
import type { TimeRange } from "../query/language/clauses";
import { parse } from "../query/language/parse";
import { ErrorNote, NotRefreshed, Skeleton } from "../ui";
import styles from "./dashboards.module.css";
import type { PanelContent } from "./edits";
import { questionAt } from "./time";

export type PanelBodyProps = {
	content: PanelContent;
	range: TimeRange;
	/** How many milliseconds lie between two askings, if it is asked again. */
	pace: number | false;
	onStretch?: ((stretch: Stretch) => void) | undefined;
	/** Takes the question for the spans of a region that was selected on a heat map. */
	onRegion?: ((question: string) => void) | undefined;
	/** Takes the question with a mistake put right. */
	onCorrect?: ((query: string) => void) | undefined;
};

export function PanelBody({
	content,
	range,
	pace,
	onStretch,
	onRegion,
	onCorrect,
}: PanelBodyProps) {
	const { title, query, view } = content;
	const text = questionAt(query, range);
	const { data, error, dataUpdatedAt } = useQuery({
		...shownQuery({ language: languageOf(text), text, view }),
		// Not asked while the page is hidden, but at once when it is seen again.
		refetchInterval: pace,
		refetchOnWindowFocus: pace === false ? false : "always",
		staleTime: 0,
		placeholderData: keepPreviousData,
	});
	const mistake = mistakeOf(error, text);
	if (mistake) return <MistakeNote mistake={mistake} text={text} onCorrect={onCorrect} />;
	if (error && !data) {
		const isHow = error instanceof CannotShow;
		return (
			<ErrorNote title={isHow ? "Not in this way" : "Not answered"}>
				{isHow ? error.message : adviceFor(error)}
			</ErrorNote>
		);
	}
	if (!data) {
		return (
			<div className={styles.waiting} role="status" aria-label="The question is being answered">
				<Skeleton width="70%" />
				<Skeleton width="45%" />
			</div>
		);
	}
	const { answer, plan } = data;
	const question = parse(text);
	const listRegion = (bounds: Bounds | undefined) => {
		if (question && bounds) onRegion?.(regionQuestion(question, bounds));
	};
	// That the server is away is told once, by the shell.
	const isOld = error !== null && !hasCode(error, "unreachable");
	return (
		<div className={styles.answered}>
			{isOld && <NotRefreshed since={dataUpdatedAt}>{adviceFor(error)}</NotRefreshed>}
			<div className={styles.answer}>
				<AnswerView
					view={data.view}
					answer={answer}
					figures={plan.figures}
					label={`${title}: rows`}
					step={plan.step}
					stretch={plan.stretch}
					onStretch={onStretch}
					onRegion={onRegion && question && listRegion}
				/>
			</div>
		</div>
	);
}
