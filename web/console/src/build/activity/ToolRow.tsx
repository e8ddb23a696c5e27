/** A tool call: a line that says what it was, and under it, if it is open, what went in and came out. */
import type { ToolCall } from "@hopline/react";
import { memo, useId } from "react";
import { useNow } from "../../api/useNow";
import {
	ChevronDownIcon,
	ChevronRightIcon,
	cx,
	formatDuration,
	formatElapsed,
	IconButton,
	TraceIcon,
} from "../../ui";
import { type CallStanding, durationOf, failureOf, standingOf, summaryOf } from "./call";
import { StateMark } from "./StateMark";
import { ToolBody } from "./ToolBody";
import styles from "./tool.module.css";

export interface ToolRowProps {
	sessionId: string;
	call: ToolCall;
	isBuildActive: boolean;
	isOpen: boolean;
	/** Whether one of its spans is pointed at. */
	isLit: boolean;
	isSelected: boolean;
	onToggle(id: string, open: boolean): void;
	onPoint(id: string | undefined): void;
	/** Shows it in the trace; none if the trace does not have it. */
	onShow: ((id: string) => void) | undefined;
}

export const ToolRow = memo(function ToolRow({
	sessionId,
	call,
	isBuildActive,
	isOpen,
	isLit,
	isSelected,
	onToggle,
	onPoint,
	onShow,
}: ToolRowProps) {
	const body = useId();
	const standing = standingOf(call, isBuildActive);
	return (
		<article
			className={cx(styles.call, isLit && styles.lit, isSelected && styles.selected)}
			onPointerEnter={() => onPoint(call.id)}
			onPointerLeave={() => onPoint(undefined)}
			onFocus={() => onPoint(call.id)}
			onBlur={() => onPoint(undefined)}
		>
			<div className={styles.line}>
				<button
					type="button"
					className={styles.head}
					aria-expanded={isOpen}
					aria-controls={isOpen ? body : undefined}
					onClick={() => onToggle(call.id, !isOpen)}
				>
					{isOpen ? <ChevronDownIcon size={14} /> : <ChevronRightIcon size={14} />}
					<StateMark mark={standing} />
					<span className={styles.name}>{call.name || "Unknown tool"}</span>
					<Summary call={call} standing={standing} isOpen={isOpen} />
					<Duration call={call} standing={standing} />
				</button>
				{onShow ? (
					<IconButton
						className={styles.show}
						size="small"
						label={`Show ${call.name || "this call"} in the trace`}
						icon={<TraceIcon />}
						onClick={() => onShow(call.id)}
					/>
				) : (
					<span className={styles.slot} />
				)}
			</div>
			{isOpen && (
				<div id={body} className={styles.body}>
					<ToolBody sessionId={sessionId} call={call} standing={standing} />
				</div>
			)}
		</article>
	);
});

interface SummaryProps {
	call: ToolCall;
	standing: CallStanding;
	isOpen: boolean;
}

/** What it was about; of one that failed why, as long as that is not read below. */
function Summary({ call, standing, isOpen }: SummaryProps) {
	const failure = standing === "failed" && !isOpen ? failureOf(call) : undefined;
	return (
		<>
			<span className={styles.summary}>{summaryOf(call)}</span>
			{failure && <span className={styles.failure}>{failure.slice(0, 300)}</span>}
		</>
	);
}

function Duration({ call, standing }: Omit<SummaryProps, "isOpen">) {
	if (standing === "running" && call.startTime !== null) return <Ticking since={call.startTime} />;
	const ms = durationOf(call);
	return (
		<span className={styles.duration}>{ms === undefined ? "" : formatDuration(ms * 1e6)}</span>
	);
}

function Ticking({ since }: { since: string }) {
	const now = useNow();
	return <span className={styles.duration}>{formatElapsed(now - Date.parse(since))}</span>;
}
