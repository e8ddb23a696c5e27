/** The waterfall's shape while the trace is read. */
import { Skeleton } from "../../ui";
import styles from "./waterfall.module.css";

const ROWS = [
	[22, 0, 96],
	[30, 1, 94],
	[34, 2, 30],
	[26, 4, 18],
	[38, 23, 9],
	[30, 34, 40],
	[24, 35, 22],
	[32, 58, 12],
	[28, 76, 18],
] as const;

export function WaterfallLoading() {
	return (
		<div className={styles.loading} role="status" aria-label="Reading the trace">
			{ROWS.map(([name, from, length]) => (
				<div key={name * 1000 + from} className={styles.loadingRow}>
					<Skeleton width={`${name * 2}%`} />
					<span style={{ paddingLeft: `${from}%`, width: `${from + length}%` }}>
						<Skeleton />
					</span>
				</div>
			))}
		</div>
	);
}
