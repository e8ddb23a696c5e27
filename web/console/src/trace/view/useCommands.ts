/** What each command of the keyboard and the toolbar does. */
import { useCallback, useRef } from "react";
import type { Command } from "../keys";
import type { TraceModel } from "../model/model";
import { Fold } from "../model/rows";
import type { Active } from "./useActive";
import type { Find } from "./useFind";
import type { FoldingState } from "./useFolding";
import type { Selection } from "./useSelection";
import type { TimeWindow } from "./useTimeWindow";

export interface CommandContext {
	model: TraceModel;
	active: Active;
	find: Find;
	time: TimeWindow;
	folding: FoldingState;
	selection: Selection;
	/** Id of the span whose details are shown. */
	selected: string | null;
	rowsInView: number;
	toggleCritical(): void;
	search(): void;
	help(): void;
}

const ZOOM_STEP = 0.6;
const PAN_STEP = 0.2;

/** Runs a command; gives whether there was anything to do, so that a key that does nothing is left to the browser. */
export function useCommands(context: CommandContext): (command: Command) => boolean {
	const latest = useRef(context);
	latest.current = context;
	return useCallback((command: Command) => runCommand(command, latest.current), []);
}

function runCommand(command: Command, context: CommandContext): boolean {
	const { active, time, rowsInView, folding, selection } = context;
	const { shown } = folding;
	const { line } = active;
	switch (command) {
		case "up":
			return goToLine(line - 1, context);
		case "down":
			return goToLine(line + 1, context);
		case "pageUp":
			return goToLine(Math.max(0, line - rowsInView), context);
		case "pageDown":
			return goToLine(Math.min(shown.count - 1, line + rowsInView), context);
		case "first":
			return goToLine(0, context);
		case "last":
			return goToLine(shown.count - 1, context);
		case "open":
			return openOrEnter(context);
		case "close":
			return closeOrLeave(context);
		case "openBelow":
			return always(() => folding.setBelowOpen(line, true));
		case "closeBelow":
			return always(() => folding.setBelowOpen(line, false));
		case "select":
			return selectLine(context);
		case "search":
			return always(() => context.search());
		case "next":
			return goToFound(context.find.match(currentRow(context), 1), context);
		case "previous":
			return goToFound(context.find.match(currentRow(context), -1), context);
		case "nextError":
			return goToFound(context.find.error(currentRow(context), 1), context);
		case "previousError":
			return goToFound(context.find.error(currentRow(context), -1), context);
		case "zoomIn":
			return always(() => time.zoom(ZOOM_STEP));
		case "zoomOut":
			return always(() => time.zoom(1 / ZOOM_STEP));
		case "zoomAll":
			return always(() => time.showAll());
		case "zoomSpan":
			return zoomToLine(context);
		case "panLeft":
			return always(() => time.pan(-PAN_STEP));
		case "panRight":
			return always(() => time.pan(PAN_STEP));
		case "critical":
			return always(() => context.toggleCritical());
		case "help":
			return always(() => context.help());
		case "leave":
			return context.selected !== null && always(() => selection.select(null));
	}
}

/** For what always has something to do. */
function always(action: () => void): true {
	action();
	return true;
}

/** Moves to a line; while details are shown, to its details too. */
function goToLine(line: number, context: CommandContext): boolean {
	const { model, folding, active, selected, selection } = context;
	const { shown } = folding;
	if (line < 0 || line >= shown.count) return false;
	active.go(line);
	if (selected !== null && shown.run[line] === 0)
		selection.select(model.idOf(shown.row[line] as number));
	return true;
}

function goToFound(row: number, context: CommandContext): boolean {
	if (row < 0) return false;
	context.selection.goToRow(row);
	if (context.selected !== null) context.selection.select(context.model.idOf(row));
	return true;
}

/** The span of the active row; of a run, its first. Before anything was stepped to, the search begins at the top. */
function currentRow({ folding, active }: CommandContext): number {
	return active.shows === 0 ? -1 : (folding.shown.row[active.line] ?? -1);
}

function openOrEnter(context: CommandContext): boolean {
	const { active, folding } = context;
	const { shown, setLineOpen } = folding;
	const fold = shown.fold[active.line];
	if (fold === Fold.closed) return always(() => setLineOpen(active.line, true));
	return fold === Fold.open && goToLine(active.line + 1, context);
}

function closeOrLeave(context: CommandContext): boolean {
	const { active, folding } = context;
	const { shown, setLineOpen } = folding;
	const { line } = active;
	if (shown.fold[line] === Fold.open) return always(() => setLineOpen(line, false));
	const level = shown.level[line] as number;
	let above = line - 1;
	while (above >= 0 && (shown.level[above] as number) >= level) above--;
	return goToLine(above, context);
}

function selectLine(context: CommandContext): boolean {
	const { model, active, folding, selection } = context;
	const { shown, setLineOpen } = folding;
	const { line } = active;
	const row = shown.row[line];
	if (row === undefined) return false;
	if (shown.run[line]) return always(() => setLineOpen(line, shown.fold[line] !== Fold.open));
	return always(() => selection.select(model.idOf(row)));
}

function zoomToLine({ model, folding, active, time }: CommandContext): boolean {
	const { shown } = folding;
	const row = shown.row[active.line];
	if (row === undefined) return false;
	const run = shown.run[active.line] as number;
	const last = run
		? (model.tree.children[(shown.runTo[active.line] as number) - 1] as number)
		: row;
	const to = Math.max(model.endOf(row), model.endOf(last));
	return always(() => time.focus({ from: model.startOf(row), to }));
}
