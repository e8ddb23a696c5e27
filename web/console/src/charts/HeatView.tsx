/** How long spans took, over time: a heat map with its axes, what the cursor is on, and the same as a table. */

import { useId, useMemo, useState } from "react";
import { serverNow } from "../api/clock";
import { EmptyState, formatCount, formatDuration, Toggle, useSize } from "../ui";
import { AnswerTable } from "./AnswerTable";
import type { Answer } from "./answer";
import { HeatMap } from "./HeatMap";
import {
	type Bounds,
	boundsOf,
	countIn,
	durationOf,
	durationsOf,
	type Heat,
	heatOf,
	type Region,
	tenfolds,
} from "./heat";
import styles from "./heat.module.css";
import type { Stretch } from "./series";
import { timeMarks } from "./timeAxis";
import { formatSpan } from "./values";
import { fullest } from "./walk";

export type HeatViewProps = {
	answer: Answer;
	/** How long a column is, in milliseconds. */
	step: number;
	stretch?: Stretch | undefined;
	/** A region was chosen, or given up. */
	onRegion?: ((bounds: Bounds | undefined) => void) | undefined;
};

export function HeatView({ answer, step, stretch, onRegion }: HeatViewProps) {
	const heat = useMemo(() => heatOf(answer, step, stretch), [answer, step, stretch]);
	if (!heat) {
		return <EmptyState title="No spans">Nothing matches the question in this time.</EmptyState>;
	}
	return <HeatFigure heat={heat} onRegion={onRegion} />;
}

function HeatFigure({ heat, onRegion }: { heat: Heat; onRegion: HeatViewProps["onRegion"] }) {
	const [selected, setSelected] = useState<{ region: Region; of: Heat }>();
	const [pointed, setPointed] = useState<Region>();
	const [isTable, setIsTable] = useState(false);
	const describedBy = useId();
	// Of another answer's map no region is selected.
	const region = selected?.of === heat ? selected.region : undefined;
	const told = pointed ?? region;
	const change = (next: Region | undefined) => {
		setSelected(next && { region: next, of: heat });
		if (!next) onRegion?.(undefined);
	};
	const choose = (next: Region) => {
		change(next);
		onRegion?.(boundsOf(heat, next));
	};
	return (
		<div className={styles.figure}>
			{isTable ? (
				<div className={styles.table}>
					<AnswerTable answer={durationsOf(heat)} label="How many spans took how long" />
				</div>
			) : (
				<div className={styles.plot}>
					<DurationAxis heat={heat} />
					<HeatMap
						heat={heat}
						region={region}
						onChange={change}
						onChoose={choose}
						onPoint={setPointed}
						label={labelOf(heat)}
						describedBy={describedBy}
					/>
					<TimeAxis heat={heat} />
				</div>
			)}
			<div className={styles.foot}>
				<p className={styles.told}>
					{told ? toldOf(heat, told) : onRegion ? "Drag over cells to list their spans." : null}
				</p>
				<Scale most={heat.most} />
				<Toggle className={styles.asTable} pressed={isTable} onChange={setIsTable}>
					As a table
				</Toggle>
			</div>
			<p id={describedBy} className="visually-hidden">
				Arrow keys walk through the cells, with Shift they select several
				{onRegion && ", and Enter lists their spans"}.
			</p>
			<p className="visually-hidden" aria-live="polite">
				{region && toldOf(heat, region)}
			</p>
		</div>
	);
}

function labelOf(heat: Heat): string {
	const { column, row } = fullest(heat);
	const most = { column, row, toColumn: column, toRow: row };
	const whole = { column: 0, row: 0, toColumn: heat.columns - 1, toRow: heat.rows - 1 };
	return `Durations of ${toldOf(heat, whole)}. Most in one cell: ${toldOf(heat, most)}`;
}

function toldOf(heat: Heat, region: Region): string {
	const { from, to, shortest, longest } = boundsOf(heat, region);
	const spans = formatCount(Math.round(countIn(heat, region)));
	const durations = `${formatDuration(shortest)} – ${formatDuration(longest)}`;
	return `${spans} spans of ${durations}, ${formatSpan(from, to, serverNow())}`;
}

function DurationAxis({ heat }: { heat: Heat }) {
	const marks = tenfolds(heat);
	// Durations within one tenfold have no mark: then the ends are told.
	const ends = [0, heat.rows].map((row) => ({ row, duration: durationOf(heat, row) }));
	return (
		<div className={styles.durations} aria-hidden="true">
			{(marks.length > 1 ? marks : ends).map(({ row, duration }) => (
				<span key={row} style={{ bottom: `${(row / heat.rows) * 100}%` }}>
					{formatDuration(duration)}
				</span>
			))}
		</div>
	);
}

/** The room that a mark takes, in pixels. */
const MARK = 96;

function TimeAxis({ heat }: { heat: Heat }) {
	const [axis, setAxis] = useState<HTMLDivElement | null>(null);
	const { width } = useSize(axis);
	const to = heat.start + heat.columns * heat.step;
	const most = Math.max(1, Math.floor(width / MARK));
	return (
		<div ref={setAxis} className={styles.times} aria-hidden="true">
			{timeMarks(heat.start, to, most).map(({ at, label }) => (
				<span key={at} style={{ left: `${((at - heat.start) / (to - heat.start)) * 100}%` }}>
					{label}
				</span>
			))}
		</div>
	);
}

function Scale({ most }: { most: number }) {
	return (
		<div className={styles.scale} aria-hidden="true">
			<span>1</span>
			<i className={styles.ramp} />
			<span>{formatCount(Math.round(most))} spans</span>
		</div>
	);
}
