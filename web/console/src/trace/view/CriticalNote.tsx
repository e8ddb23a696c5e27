/** What the critical path is made of, in one line: where the time went. */
import { formatDuration } from "../../ui";
import { type CriticalPath, criticalShares } from "../model/critical";
import type { TraceModel } from "../model/model";
import { oneLine } from "../model/text";
import styles from "./waterfall.module.css";

const MOST = 4;

export function CriticalNote({ model, path }: { model: TraceModel; path: CriticalPath }) {
	const shares = criticalShares(model, path).slice(0, MOST);
	const percent = (ns: number) => `${Math.round((ns / Math.max(path.total, 1)) * 100)} %`;
	return (
		<p className={styles.critical} role="status">
			<strong>Critical path {formatDuration(path.total)}</strong>
			{shares.map(([name, ns]) => (
				<span key={name}>
					{oneLine(name, 60)} <b>{percent(ns)}</b>
				</span>
			))}
			{path.waited > 0 && (
				<span>
					on the way between spans <b>{percent(path.waited)}</b>
				</span>
			)}
		</p>
	);
}
