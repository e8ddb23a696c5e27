/** What the lines of a chart are worth where the pointer is. */

import { formatTimeExact } from "../ui";
import { hueOfLine } from "./colours";
import styles from "./lines.module.css";
import type { Line } from "./series";
import { formatNumber } from "./values";

export type Reading = {
	/** The place of the time. */
	at: number;
	x: number;
	y: number;
	/** Whether it is in the chart's right half, so that there is room on the left. */
	isRight: boolean;
};

/** More would hide the chart. */
const MOST = 8;

export function Readout({
	reading,
	lines,
	times,
	hidden,
}: {
	reading: Reading;
	lines: readonly Line[];
	times: readonly number[];
	hidden: ReadonlySet<string>;
}) {
	const time = times[reading.at];
	const shown = lines
		.map((line) => ({ line, value: line.values[reading.at] ?? null }))
		.filter(({ line, value }) => value !== null && !hidden.has(line.name))
		.sort((a, b) => (a.line.unit === b.line.unit ? (b.value ?? 0) - (a.value ?? 0) : 0));
	if (time === undefined) return null;
	return (
		<div
			className={styles.readout}
			data-right={reading.isRight ? "" : undefined}
			style={{ left: reading.x, top: reading.y }}
			aria-hidden="true"
		>
			<div className={styles.when}>{formatTimeExact(time)}</div>
			{shown.length === 0 && <div className={styles.none}>Nothing</div>}
			{shown.slice(0, MOST).map(({ line, value }) => (
				<div key={line.name} className={styles.reading}>
					<i className={styles.swatch} style={{ color: `var(${hueOfLine(line.hue)})` }} />
					<bdi className={styles.name}>{line.name}</bdi>
					<span>{formatNumber(value ?? 0, line.unit)}</span>
				</div>
			))}
			{shown.length > MOST && <div className={styles.none}>and {shown.length - MOST} more</div>}
		</div>
	);
}
