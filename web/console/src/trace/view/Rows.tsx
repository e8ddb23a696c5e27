/** The rows as a treegrid: those in view are there, the others are room. One row takes the focus, as the keys move it. */
import { defaultRangeExtractor, type Range, useVirtualizer } from "@tanstack/react-virtual";
import { type MouseEvent, useCallback, useEffect, useRef } from "react";
import type { CriticalPath } from "../model/critical";
import type { Kept } from "../model/filter";
import type { TraceModel } from "../model/model";
import { Flag } from "../model/outline";
import { lineKey, lineShowing, type ShownRows } from "../model/rows";
import { Row, type RowLook } from "./Row";
import styles from "./rows.module.css";
import type { Scale } from "./scale";
import { useKeptPlace } from "./useKeptPlace";

export interface RowsProps {
	model: TraceModel;
	shown: ShownRows;
	kept: Kept | null;
	scale: Scale;
	hues: Uint8Array;
	path: CriticalPath | null;
	now: number;
	rowHeight: number;
	scroller: HTMLDivElement | null;
	setScroller(element: HTMLDivElement | null): void;
	active: number;
	/** Changes when the active row is to be brought into view. */
	showActive: number;
	selected: number;
	lit: ReadonlySet<string> | null;
	found: ReadonlySet<number> | null;
	foundCurrent: number;
	onActive(line: number): void;
	onPick(line: number): void;
	onToggle(line: number): void;
	onHover(row: number): void;
	/** The reader does something with the rows. */
	onHold(): void;
}

export function Rows(props: RowsProps) {
	const { model, shown, rowHeight, scroller, active, onActive, onPick, onToggle, onHover } = props;
	const virtualizer = useVirtualizer({
		count: shown.count,
		getScrollElement: () => scroller,
		estimateSize: () => rowHeight,
		overscan: 10,
		// The row with the focus stays, wherever it is scrolled: else the focus would be lost.
		rangeExtractor: useCallback(
			(range: Range) => withLine(defaultRangeExtractor(range), active),
			[active],
		),
	});
	// biome-ignore lint/correctness/useExhaustiveDependencies: what was measured holds for one height only.
	useEffect(() => virtualizer.measure(), [rowHeight, virtualizer]);
	useKeptPlace(model, shown, scroller, rowHeight);

	const { showActive } = props;
	const shownBefore = useRef(showActive);
	useEffect(() => {
		if (shownBefore.current === showActive) return;
		shownBefore.current = showActive;
		if (active >= 0) virtualizer.scrollToIndex(active, { align: "auto" });
		const row = scroller?.querySelector<HTMLElement>(`[data-line="${active}"]`);
		// The focus follows the active row, but is not taken from elsewhere on the page.
		if (row && scroller?.contains(document.activeElement)) row.focus({ preventScroll: true });
	}, [showActive, active, virtualizer, scroller]);

	const onClick = (event: MouseEvent) => {
		const line = lineOf(event.target);
		if (line < 0) return;
		onActive(line);
		const onSign = (event.target as Element).closest("[data-toggle]") !== null;
		if (onSign || shown.run[line]) onToggle(line);
		else onPick(line);
	};
	return (
		<div ref={props.setScroller} className={styles.scroller}>
			<div
				role="treegrid"
				aria-label="Spans"
				aria-rowcount={shown.count}
				aria-readonly="true"
				className={styles.rows}
				style={{ height: virtualizer.getTotalSize() }}
				onClick={onClick}
				onDoubleClick={(event) => onToggle(lineOf(event.target))}
				onFocus={(event) => onActive(lineOf(event.target))}
				onMouseOver={(event) => onHover(shown.row[lineOf(event.target)] ?? -1)}
				onMouseLeave={() => onHover(-1)}
				onPointerDown={props.onHold}
				onKeyDown={props.onHold}
				onWheel={props.onHold}
			>
				{virtualizer.getVirtualItems().map(({ index, start }) => (
					<Row
						key={lineKey(model, shown, index)}
						model={model}
						shown={shown}
						line={index}
						kept={props.kept}
						scale={props.scale}
						hues={props.hues}
						path={props.path}
						now={moves(model, shown, index) ? props.now : 0}
						top={start}
						height={rowHeight}
						{...look(props, index)}
					/>
				))}
			</div>
		</div>
	);
}

function look(props: RowsProps, line: number): RowLook {
	const { model, shown, kept, path, found, foundCurrent, lit } = props;
	const row = shown.row[line] as number;
	const single = shown.run[line] === 0;
	return {
		selected: single && row === props.selected,
		active: line === props.active,
		lit: lit !== null && (single ? lit.has(model.idOf(row)) : false),
		found: foundCurrent === row && single ? "current" : found?.has(line) ? "yes" : "no",
		faint: (single && kept !== null && !kept.matches[row]) || (path !== null && !path.on[row]),
	};
}

function moves(model: TraceModel, shown: ShownRows, line: number): boolean {
	return model.now !== null && model.has(shown.row[line] as number, Flag.pending);
}

function withLine(lines: number[], line: number): number[] {
	if (line < 0 || lines.includes(line)) return lines;
	return [...lines, line].sort((a, b) => a - b);
}

function lineOf(target: EventTarget): number {
	const row = target instanceof Element ? target.closest<HTMLElement>("[data-line]") : null;
	return row ? Number(row.dataset.line) : -1;
}

/** The lines on which these spans are seen. */
export function linesShowing(
	model: TraceModel,
	shown: ShownRows,
	rows: Iterable<number>,
): ReadonlySet<number> {
	const lines = new Set<number>();
	for (const row of rows) lines.add(lineShowing(model, shown, row));
	return lines;
}
