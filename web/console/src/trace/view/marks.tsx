/** Small signs behind a row's name. Each says in words what it shows. */
import type { ReactNode } from "react";
import { cx } from "../../ui/cx";
import { formatCount } from "../../ui/format";
import { ClockIcon } from "../../ui/icons";
import type { TraceModel } from "../model/model";
import { Flag } from "../model/outline";
import styles from "./row.module.css";

export function FoundBelow({ count }: { count: number }) {
	if (count === 0) return null;
	return (
		<Count tone={styles.found} says={`${count} found below`}>
			{`${formatCount(count)} found`}
		</Count>
	);
}

/** What is odd about a span. */
export function Marks({ model, row }: { model: TraceModel; row: number }) {
	return (
		<>
			{model.has(row, Flag.orphan) && <Count tone={styles.warn}>parent missing</Count>}
			{model.tree.broken[row] === 1 && <Count tone={styles.warn}>parents in a circle</Count>}
			{/* Where the clock is another than above: all below is by the same. */}
			{model.has(row, Flag.skewed) && !model.has(model.parentOf(row), Flag.skewed) && (
				<Mark says="Clock corrected" className={styles.muted} icon={<ClockIcon size={12} />} />
			)}
		</>
	);
}

/** A sign, and what it says. */
export function Mark(props: { says: string; className: string | undefined; icon: ReactNode }) {
	return (
		<span className={cx(styles.mark, props.className)} title={props.says}>
			{props.icon}
			<span className="visually-hidden">{props.says}</span>
		</span>
	);
}

/** A few letters on a ground of their own. */
export function Count(props: { children: string; tone?: string | undefined; says?: string }) {
	const { children, tone, says } = props;
	return (
		<span className={cx(styles.count, tone)} title={says}>
			{says ? (
				<>
					<span aria-hidden="true">{children}</span>
					<span className="visually-hidden">{says}</span>
				</>
			) : (
				children
			)}
		</span>
	);
}
