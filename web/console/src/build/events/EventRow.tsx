/** An event of the log in a line. */
import { memo } from "react";
import { serverNow } from "../../api/clock";
import { Badge, cx, formatTime, formatTimeExact } from "../../ui";
import styles from "./events.module.css";
import type { LogLine } from "./log";

export interface EventRowProps {
	seq: number;
	/** None while it is not read, and if it is not in the log. */
	line: LogLine | undefined;
	isRead: boolean;
	isSelected: boolean;
	onSelect(seq: number): void;
	onPoint(seq: number | undefined): void;
}

export const EventRow = memo(function EventRow({
	seq,
	line,
	isRead,
	isSelected,
	onSelect,
	onPoint,
}: EventRowProps) {
	if (!line) {
		return (
			<div className={cx(styles.row, styles.absent)}>
				<span className={styles.seq}>{seq}</span>
				<span className={styles.summary}>
					{isRead && "Not in the log: it was lost, or let go of"}
				</span>
			</div>
		);
	}
	const { type, outcome, summary, receivedAt } = line;
	return (
		<button
			type="button"
			className={cx(styles.row, isSelected && styles.selected)}
			aria-current={isSelected || undefined}
			onClick={() => onSelect(seq)}
			onPointerEnter={() => onPoint(seq)}
			onPointerLeave={() => onPoint(undefined)}
			onFocus={() => onPoint(seq)}
			onBlur={() => onPoint(undefined)}
		>
			<span className={styles.seq}>{seq}</span>
			<time className={styles.time} dateTime={receivedAt} title={formatTimeExact(receivedAt)}>
				{formatTime(receivedAt, serverNow())}
			</time>
			<span className={styles.type}>{type}</span>
			<span className={styles.summary}>{summary}</span>
			{outcome !== "committed" && (
				<Badge tone={outcome === "rejected" ? "error" : "warn"}>
					{outcome === "rejected" ? "Rejected" : "Lost"}
				</Badge>
			)}
		</button>
	);
});
