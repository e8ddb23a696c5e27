/** A row's place in time: the span's bar, what it waited for, and how long it took. */
import { memo, type ReactNode } from "react";
import { formatDuration } from "../../ui/format";
import type { CriticalSegment } from "../model/critical";
import type { Stretch } from "../model/times";
import styles from "./bar.module.css";
import {
	type Box,
	boxesPath,
	boxOf,
	labelSide,
	type MergedBox,
	mergeBoxes,
	type Scale,
} from "./scale";

/** Of narrow gaps only so many are drawn: nobody could tell them apart. */
const MOST_GAPS = 24;
const LEAST_GAP = 5;

const RUN_HEIGHT = 12;

export interface BarProps {
	scale: Scale;
	from: number;
	to: number;
	/** Ends where the trace ends so far: it goes on. */
	pending: boolean;
	/** Where what hangs below it ends; drawn as a line while that is closed. */
	reach: number;
	gaps: readonly Stretch[];
	handOver: Stretch | null;
	critical: readonly CriticalSegment[];
}

export const Bar = memo(function Bar(props: BarProps) {
	const { scale, from, to, pending, reach, gaps, handOver, critical } = props;
	const box = boxOf(scale, from, to);
	const label = formatDuration(to - from);
	const way = handOver && boxOf(scale, handOver.from, handOver.to);
	const below = reach > to ? boxOf(scale, to, reach) : null;
	return (
		<>
			{way && !way.beyond && <Placed box={way} className={styles.handOver} />}
			{below && !below.beyond && <Placed box={below} className={styles.reach} />}
			{!box.beyond && (
				<Placed box={box} className={styles.bar} pending={pending}>
					{widestGaps(scale, gaps).map((gap) => (
						<Placed
							key={gap.x}
							box={{ ...gap, x: gap.x - box.x, beyond: 0 }}
							className={styles.gap}
						/>
					))}
				</Placed>
			)}
			<CriticalLines scale={scale} segments={critical} />
			<BarLabel
				box={box}
				width={scale.width}
				text={pending ? `${label}…` : label}
				pending={pending}
			/>
		</>
	);
});

export interface RunBarProps {
	scale: Scale;
	members: readonly MergedBox[];
	errors: readonly MergedBox[];
	critical: readonly CriticalSegment[];
	label: string;
}

/** Many spans in one row: where they are, and how densely. */
export const RunBar = memo(function RunBar(props: RunBarProps) {
	const { scale, members, errors, critical, label } = props;
	const first = members[0];
	const last = members.at(-1);
	const box: Box | null =
		first && last ? { x: first.x, width: last.x + last.width - first.x, beyond: 0 } : null;
	return (
		<>
			{box && <Placed box={box} className={styles.runTrack} />}
			<svg className={styles.run} width={scale.width} height={RUN_HEIGHT} aria-hidden="true">
				<path d={boxesPath(members, RUN_HEIGHT)} className={styles.runSpans} />
				<path d={boxesPath(errors, RUN_HEIGHT)} className={styles.runErrors} />
			</svg>
			<CriticalLines scale={scale} segments={critical} />
			{box && <BarLabel box={box} width={scale.width} text={label} />}
		</>
	);
});

function CriticalLines(props: { scale: Scale; segments: readonly CriticalSegment[] }) {
	const { scale, segments } = props;
	const lines = (waiting: boolean) =>
		mergeBoxes(
			scale,
			segments.filter((segment) => segment.waiting === waiting).sort((a, b) => a.from - b.from),
		);
	return (
		<>
			{lines(false).map((line) => (
				<Placed key={line.x} box={{ ...line, beyond: 0 }} className={styles.critical} />
			))}
			{lines(true).map((line) => (
				<Placed key={line.x} box={{ ...line, beyond: 0 }} className={styles.criticalWait} />
			))}
		</>
	);
}

function Placed(props: {
	box: Box;
	className: string | undefined;
	pending?: boolean;
	children?: ReactNode;
}) {
	const { box, className, pending, children } = props;
	return (
		<span
			className={className}
			data-pending={pending || undefined}
			style={{ transform: `translateX(${box.x}px)`, width: box.width }}
		>
			{children}
		</span>
	);
}

function BarLabel(props: { box: Box; width: number; text: string; pending?: boolean }) {
	const { box, width, text, pending } = props;
	if (box.beyond) {
		return (
			<span className={styles.beyond} data-side={box.beyond < 0 ? "before" : "after"}>
				{box.beyond < 0 ? `‹ ${text}` : `${text} ›`}
			</span>
		);
	}
	const side = labelSide(box, width, text.length);
	const at = side === "before" ? box.x : Math.min(box.x + box.width, width);
	return (
		<span
			className={styles.label}
			data-side={side}
			data-pending={pending || undefined}
			style={{ transform: `translateX(${at}px)${side === "after" ? "" : " translateX(-100%)"}` }}
		>
			{text}
		</span>
	);
}

function widestGaps(scale: Scale, gaps: readonly Stretch[]): MergedBox[] {
	const boxes = mergeBoxes(scale, gaps, { least: LEAST_GAP, apart: -1 });
	if (boxes.length <= MOST_GAPS) return boxes;
	return boxes.sort((a, b) => b.width - a.width).slice(0, MOST_GAPS);
}
