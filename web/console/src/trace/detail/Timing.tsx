/** When a span was, how long it took, and how much of that was its own. */
import { formatDuration, formatTimeExact } from "../../ui";
import type { TraceModel } from "../model/model";
import { Flag } from "../model/outline";
import { handOver } from "../model/times";
import { endSoFar } from "../view/lines";
import styles from "./detail.module.css";

export interface TimingProps {
	model: TraceModel;
	span: number;
	now: number;
	/** Milliseconds that the span says it waited within its duration. */
	waitedMs: number | undefined;
}

export function Timing({ model, span, now, waitedMs }: TimingProps) {
	const start = model.startOf(span);
	const duration = endSoFar(model, span, now) - start;
	const pending = model.has(span, Flag.pending);
	const self = model.times.self[span] ?? 0;
	const way = handOver(span, model.times, model.tree);
	const startMs = Number(model.startNanos / 1_000_000n) + start / 1e6;
	const share = duration > 0 ? Math.min(self / duration, 1) : 1;
	return (
		<>
			<dl className={styles.figures}>
				<Figure name={pending ? "Running for" : "Duration"} value={formatDuration(duration)} />
				{!pending && <Figure name="Own time" value={formatDuration(self)} />}
				{waitedMs !== undefined && <Figure name="Waited" value={formatDuration(waitedMs * 1e6)} />}
				{way && <Figure name="On the way" value={formatDuration(way.to - way.from)} />}
				<Figure name="Starts at" value={formatDuration(start)} />
			</dl>
			{!pending && (
				<div className={styles.share} aria-hidden="true">
					<span style={{ width: `${share * 100}%` }} />
				</div>
			)}
			<p className={styles.quiet}>
				{formatTimeExact(startMs)}
				{model.has(span, Flag.skewed) && ", corrected: its clock differs from the server's"}
			</p>
		</>
	);
}

function Figure({ name, value }: { name: string; value: string }) {
	return (
		<div>
			<dt>{name}</dt>
			<dd>{value}</dd>
		</div>
	);
}
