/** One figure, large; several side by side. */

import { EmptyState } from "../ui";
import { type Answer, numberOf, type Roles, rolesOf } from "./answer";
import styles from "./number.module.css";
import { formatNumber } from "./values";

export function NumberView({ answer, roles = rolesOf(answer) }: { answer: Answer; roles?: Roles }) {
	const [row] = answer.rows;
	const figures =
		roles.figures.length > 0 ? roles.figures : answer.columns.slice(0, 1).map(() => 0);
	if (!row) {
		return <EmptyState title="No answer">Nothing matches the question in this time.</EmptyState>;
	}
	return (
		<dl className={styles.numbers}>
			{figures.map((at) => {
				const { name, unit } = answer.columns[at] ?? { name: "", unit: "plain" as const };
				const value = numberOf(row[at]);
				return (
					<div key={at} className={styles.figure}>
						<dt className={styles.name}>
							<bdi>{name}</bdi>
						</dt>
						<dd className={styles.value} data-none={value === null ? "" : undefined}>
							{value === null ? "No spans" : formatNumber(value, unit)}
						</dd>
					</div>
				);
			})}
		</dl>
	);
}
