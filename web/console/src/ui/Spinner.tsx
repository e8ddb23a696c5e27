/** What stands where something is still on its way. */
import { cx } from "./cx";
import styles from "./spinner.module.css";

export interface SpinnerProps {
	/** What is being waited for; without it the spinner is decoration beside words. */
	label?: string | undefined;
	className?: string | undefined;
}

export function Spinner({ label, className }: SpinnerProps) {
	const look = cx(styles.spinner, className);
	if (!label) return <span className={look} aria-hidden="true" />;
	return <span className={look} role="status" aria-label={label} />;
}

/** A grey bar in the place of text. */
export function Skeleton({ width = "100%", className }: { width?: string; className?: string }) {
	return <span className={cx(styles.skeleton, className)} style={{ width }} aria-hidden="true" />;
}

const WIDTHS = ["62%", "48%", "71%", "55%", "66%", "43%"];

/** Grey rows in the place of a list; `label` says of what. */
export function SkeletonRows({ rows = 6, label }: { rows?: number; label: string }) {
	return (
		<div className={styles.rows} role="status" aria-label={label}>
			{Array.from({ length: rows }, (_, row) => (
				// biome-ignore lint/suspicious/noArrayIndexKey: the rows are alike and stay in place.
				<Skeleton key={row} width={WIDTHS[row % WIDTHS.length] ?? "60%"} />
			))}
		</div>
	);
}
