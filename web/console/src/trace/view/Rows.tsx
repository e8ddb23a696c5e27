/** The rows as a treegrid: those in view are there, the others are room. One row takes the focus, as the keys move it. */
import {
	defaultRangeExtractor,
	type Range,
	useVirtualizer,
	type Virtualizer,
} from "@tanstack/react-virtual";
import { type MouseEvent, useCallback, useEffect, useRef } from "react";
import type { CriticalPath } from "../model/critical";
import type { Kept } from "../model/filter";
import type { TraceModel } from "../model/model";
import { Flag } from "../model/outline";
import { Fold, lineKey, type ShownRows } from "../model/rows";
import { Row } from "./Row";
import styles from "./rows.module.css";
import type { Scale } from "./scale";
import type { Active } from "./useActive";
import type { Find } from "./useFind";
import type { FoldingState } from "./useFolding";
import { useKeptPlace } from "./useKeptPlace";
import { useLooks } from "./useLooks";
import type { Selection } from "./useSelection";

export interface RowsProps {
	model: TraceModel;
	folding: FoldingState;
	kept: Kept | null;
	scale: Scale;
	hues: Uint8Array;
	path: CriticalPath | null;
	now: number;
	/** Bars below names. */
	narrow: boolean;
	rowHeight: number;
	scroller: HTMLDivElement | null;
	setScroller(element: HTMLDivElement | null): void;
	active: Active;
	selection: Selection;
	/** Spans to light up. */
	highlighted: ReadonlySet<string>;
	find: Find;
	/** With -1 for none. */
	onHover(row: number): void;
}

export function Rows(props: RowsProps) {
	const { model, folding, narrow, rowHeight, scroller, active, selection, onHover } = props;
	const { shown, setLineOpen, hold } = folding;
	const virtualizer = useVirtualizer({
		count: shown.count,
		getScrollElement: () => scroller,
		estimateSize: () => rowHeight,
		overscan: 6,
		// The row with the focus stays, wherever it is scrolled: else the focus would be lost.
		rangeExtractor: useCallback(
			(range: Range) => withLine(defaultRangeExtractor(range), active.line),
			[active.line],
		),
	});
	useMeasured(virtualizer, rowHeight);
	useKeptPlace(model, shown, virtualizer, rowHeight);
	useShownActive(active, virtualizer, scroller);
	const looks = useLooks(props);

	const toggle = (line: number) => setLineOpen(line, shown.fold[line] !== Fold.open);
	/** A run, and the sign before a name, are opened by one click: there is nothing else to do with them. */
	const opensAtOnce = (event: MouseEvent, line: number) =>
		shown.run[line] !== 0 || (event.target as Element).closest("[data-toggle]") !== null;
	const onClick = (event: MouseEvent) => {
		const line = lineAt(event.target);
		if (line < 0) return;
		active.set(line);
		if (opensAtOnce(event, line)) toggle(line);
		else selection.select(model.idOf(shown.row[line] as number));
	};
	const onDoubleClick = (event: MouseEvent) => {
		const line = lineAt(event.target);
		if (line >= 0 && !opensAtOnce(event, line)) toggle(line);
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
				onDoubleClick={onDoubleClick}
				onFocus={(event) => active.set(lineAt(event.target))}
				onMouseOver={(event) => onHover(shown.row[lineAt(event.target)] ?? -1)}
				onMouseLeave={() => onHover(-1)}
				onPointerDown={hold}
				onKeyDown={hold}
				onWheel={hold}
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
						narrow={narrow}
						top={start}
						height={rowHeight}
						{...looks(index)}
					/>
				))}
			</div>
		</div>
	);
}

/** Where rows stand holds for one height of rows. */
function useMeasured(virtualizer: Virtualizer<HTMLDivElement, Element>, rowHeight: number): void {
	const measured = useRef(rowHeight);
	useEffect(() => {
		if (measured.current === rowHeight) return;
		measured.current = rowHeight;
		// It renders at once, which React does not allow from within an effect.
		queueMicrotask(() => virtualizer.measure());
	}, [virtualizer, rowHeight]);
}

/** Scrolls to the active row when it is to be seen. The focus follows it, but is not taken from elsewhere on the page. */
function useShownActive(
	{ line, shows }: Active,
	virtualizer: Virtualizer<HTMLDivElement, Element>,
	scroller: HTMLElement | null,
): void {
	const before = useRef(shows);
	useEffect(() => {
		if (before.current === shows) return;
		before.current = shows;
		if (line >= 0) virtualizer.scrollToIndex(line, { align: "auto" });
		const { activeElement: focused, body } = document;
		// The body, or what holds the page, has the focus when nothing has.
		if (focused !== body && !focused?.contains(scroller) && !scroller?.contains(focused)) return;
		scroller?.querySelector<HTMLElement>(`[data-line="${line}"]`)?.focus({ preventScroll: true });
	}, [shows, line, virtualizer, scroller]);
}

function moves(model: TraceModel, shown: ShownRows, line: number): boolean {
	return model.now !== null && model.has(shown.row[line] as number, Flag.pending);
}

function withLine(lines: number[], line: number): number[] {
	if (line < 0 || lines.includes(line)) return lines;
	return [...lines, line].sort((a, b) => a - b);
}

function lineAt(target: EventTarget): number {
	const row = target instanceof Element ? target.closest<HTMLElement>("[data-line]") : null;
	return row ? Number(row.dataset.line) : -1;
}
