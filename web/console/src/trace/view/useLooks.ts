/** How each line stands out: selected, lit up, found, or stepping back behind others. */
import { useMemo } from "react";
import type { CriticalPath } from "../model/critical";
import type { Kept } from "../model/filter";
import type { TraceModel } from "../model/model";
import { linesShowing, type ShownRows } from "../model/rows";
import { criticalIn } from "./lines";
import type { RowLook } from "./Row";
import type { Active } from "./useActive";
import type { Find } from "./useFind";
import type { FoldingState } from "./useFolding";
import type { Selection } from "./useSelection";

export interface LooksParts {
	model: TraceModel;
	folding: FoldingState;
	kept: Kept | null;
	path: CriticalPath | null;
	active: Active;
	selection: Selection;
	highlighted: ReadonlySet<string>;
	find: Find;
}

export function useLooks(parts: LooksParts): (line: number) => RowLook {
	const { model, folding, kept, path, active, selection, highlighted, find } = parts;
	const { shown } = folding;
	const lit = useMemo(() => {
		const rows = Array.from(highlighted, (id) => model.rowOf(id)).filter((row) => row >= 0);
		return countByLine(model, shown, rows);
	}, [model, shown, highlighted]);
	const found = useMemo(() => countByLine(model, shown, find.found), [model, shown, find]);
	return (line) => {
		const row = shown.row[line] as number;
		const single = shown.run[line] === 0;
		const isActive = line === active.line;
		const isFound = single && find.has(row);
		const isLit = lit.has(line) || (single && highlighted.has(model.idOf(row)));
		return {
			selected: single && row === selection.row,
			active: isActive,
			at: isActive && active.isChosen,
			lit: isLit,
			found: !isFound ? "no" : isActive ? "current" : "yes",
			foundBelow: Math.max(0, (found.get(line) ?? 0) - (isFound ? 1 : 0)),
			faint:
				(lit.size > 0 && !isLit) ||
				(single && kept !== null && !kept.matches[row]) ||
				(path !== null && criticalIn(model, shown, line, path).length === 0),
		};
	};
}

/** How many of these spans are seen on each line: it is their own, or stands for them. */
function countByLine(
	model: TraceModel,
	shown: ShownRows,
	rows: ArrayLike<number> & Iterable<number>,
): ReadonlyMap<number, number> {
	const counts = new Map<number, number>();
	if (rows.length === 0) return counts;
	const lines = linesShowing(model, shown);
	for (const row of rows) {
		const line = lines[row] as number;
		counts.set(line, (counts.get(line) ?? 0) + 1);
	}
	return counts;
}
