/** Some hops, one above the other: what came in is the whole bar, and what did not is told in red. */
import { cx, formatCount, formatDuration } from "../../ui";
import type { Stage } from "./funnel";
import styles from "./funnel.module.css";

export interface FunnelProps {
	caption: string;
	stages: readonly Stage[];
	/** How many there are in all, for the bars' lengths; what most came to if it is not given. */
	total?: number;
}

export function Funnel({ caption, stages, total }: FunnelProps) {
	const most = Math.max(1, total ?? 0, ...stages.map((stage) => stage.entered));
	// Only of events it is known how many should come.
	const areEvents = stages.every((stage) => stage.unit === "events");
	return (
		<table className={styles.funnel}>
			<caption className={styles.caption}>{caption}</caption>
			<thead>
				<tr>
					<th scope="col">Hop</th>
					<th scope="col">In</th>
					<th scope="col">Out</th>
					{areEvents && <th scope="col">Missing</th>}
					<th scope="col">p50</th>
					<th scope="col">p95</th>
				</tr>
			</thead>
			<tbody>
				{stages.map((stage) => (
					<StageRow key={stage.name} stage={stage} most={most} tellsMissing={areEvents} />
				))}
			</tbody>
		</table>
	);
}

interface StageRowProps {
	stage: Stage;
	most: number;
	tellsMissing: boolean;
}

function StageRow({ stage, most, tellsMissing }: StageRowProps) {
	const { name, unit, entered, left, missing, errors, p50, p95 } = stage;
	return (
		<tr className={styles.stage}>
			<th scope="row" className={styles.hop}>
				<span className={styles.name}>{name}</span>
				{unit !== "events" && <span className={styles.unit}>{unit}</span>}
				{errors > 0 && <span className={styles.errors}>{formatCount(errors)} failed</span>}
				<Bars stage={stage} most={most} />
				<span className={styles.notes}>{notesOn(stage)}</span>
			</th>
			<td data-label="In">{formatCount(entered)}</td>
			<td data-label="Out">{formatCount(left)}</td>
			{tellsMissing && (
				<td data-label="Missing" className={cx(missing > 0 && styles.missing)}>
					{missing > 0 ? formatCount(missing) : "–"}
				</td>
			)}
			<td data-label="p50">{entered > 0 ? formatDuration(p50) : "–"}</td>
			<td data-label="p95">{entered > 0 ? formatDuration(p95) : "–"}</td>
		</tr>
	);
}

/** Where the time goes, beside its length. */
function notesOn({ waiting, after }: Stage): string {
	const notes = [
		after !== undefined && after > 0 && `${formatDuration(after)} after the hop before`,
		waiting >= 0.01 && `${Math.round(waiting * 100)} % of its time waiting`,
	];
	return notes.filter(Boolean).join(", ");
}

/** What left, what is still within, and what is missing, as parts of all. */
function Bars({ stage: { entered, left, missing }, most }: { stage: Stage; most: number }) {
	return (
		<span className={styles.track} aria-hidden="true">
			<Bar className={styles.within} share={entered / most} />
			<Bar className={styles.out} share={left / most} />
			<Bar className={styles.lost} share={missing / most} />
		</span>
	);
}

function Bar({ className, share }: { className: string | undefined; share: number }) {
	// Few among many are seen too.
	const seen = share > 0 ? Math.max(share, 0.004) : 0;
	return <span className={className} style={{ transform: `scaleX(${Math.min(1, seen)})` }} />;
}
