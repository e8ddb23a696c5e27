/** An answer as lines over time, with a legend to switch them by, and the same as a table for whoever reads rather than looks. */

import { useMemo, useState } from "react";
import { serverNow } from "../api/clock";
import { EmptyState, formatCount, Toggle } from "../ui";
import { AnswerTable } from "./AnswerTable";
import { type Answer, type Roles, rolesOf } from "./answer";
import { Legend } from "./Legend";
import { LineChart } from "./LineChart";
import styles from "./lines.module.css";
import { type Stretch, seriesOf, summaryOf, tableOf } from "./series";
import { formatNumber, formatSpan } from "./values";

export type SeriesViewProps = {
	answer: Answer;
	roles?: Roles | undefined;
	/** How long a bucket is, in milliseconds. */
	step?: number | undefined;
	stretch?: Stretch | undefined;
	/** A stretch of time that was selected. */
	onStretch?: ((stretch: Stretch) => void) | undefined;
};

export function SeriesView({ answer, roles, step, stretch, onStretch }: SeriesViewProps) {
	const series = useMemo(
		() => seriesOf(answer, { roles: roles ?? rolesOf(answer), step, stretch }),
		[answer, roles, step, stretch],
	);
	const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
	const [lit, setLit] = useState<string>();
	const [isTable, setIsTable] = useState(false);
	const { times, lines } = series;
	const [first, last] = [times[0], times.at(-1)];
	if (first === undefined || last === undefined || lines.length === 0) {
		return (
			<EmptyState title="No line to draw">
				{answer.rows.length === 0
					? "Nothing matches the question in this time."
					: "A time series needs a column of times and one of numbers."}
			</EmptyState>
		);
	}
	const label = `Lines from ${formatSpan(first, last, serverNow())}. ${summaryOf(series, formatNumber)}`;
	return (
		<div className={styles.figure}>
			{isTable ? (
				<div className={styles.table}>
					<AnswerTable answer={tableOf(series)} label="The lines' values" />
				</div>
			) : (
				<LineChart
					series={series}
					hidden={hidden}
					lit={lit}
					stretch={stretch}
					onStretch={onStretch}
					label={label}
				/>
			)}
			{answer.more && (
				<p className={styles.left}>
					Only the first {formatCount(answer.rows.length)} rows are drawn: ask about a shorter time,
					or about fewer groups.
				</p>
			)}
			<div className={styles.foot}>
				{isTable ? (
					<span />
				) : (
					<Legend series={series} hidden={hidden} onHide={setHidden} onLight={setLit} />
				)}
				<Toggle className={styles.asTable} pressed={isTable} onChange={setIsTable}>
					As a table
				</Toggle>
			</div>
		</div>
	);
}
