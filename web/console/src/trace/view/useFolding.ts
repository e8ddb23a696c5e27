/**
 * What is open in a waterfall, and the lines that follow from it. Until the reader takes hold of it, it is what gives an
 * overview, also of a trace that grows. What a filter leaves is open, and is opened and closed apart from the rest.
 */
import { useCallback, useMemo, useState } from "react";
import type { Kept } from "../model/filter";
import type { TraceModel } from "../model/model";
import { overview } from "../model/overview";
import { closeAll, openTree, reveal, setOpen, setRunOpen, setSubtreeOpen } from "../model/reveal";
import { Fold, type Folding, shownRows } from "../model/rows";

export interface FoldingState {
	readonly shown: ReturnType<typeof shownRows>;
	setLineOpen(line: number, open: boolean): void;
	/** The line's span and all spans below it. */
	setBelowOpen(line: number, open: boolean): void;
	setAllOpen(open: boolean): void;
	/** Opens what hides a span. */
	revealRow(row: number): void;
	/** The reader looks at what is there: from now on it stays. */
	hold(): void;
}

export function useFolding(model: TraceModel, kept: Kept | null): FoldingState {
	const [whole, setWhole] = useState<Folding | null>(null);
	const [filtered, setFiltered] = useState<Folding | null>(null);
	const isFiltered = kept !== null;
	const chosen = isFiltered ? filtered : whole;
	const folding = useMemo(
		() => chosen ?? (isFiltered ? openTree() : overview(model)),
		[chosen, isFiltered, model],
	);
	const shown = useMemo(() => shownRows(model, folding, kept), [model, folding, kept]);
	const change = useCallback(
		(next: (folding: Folding) => Folding) =>
			isFiltered
				? setFiltered((chosen) => next(chosen ?? openTree()))
				: setWhole((chosen) => next(chosen ?? overview(model))),
		[isFiltered, model],
	);

	const setLineOpen = useCallback(
		(line: number, open: boolean) => {
			const row = shown.row[line];
			if (row === undefined || shown.fold[line] === Fold.leaf) return;
			const set = shown.run[line] ? setRunOpen : setOpen;
			change((folding) => set(model, folding, row, open));
		},
		[model, shown, change],
	);
	const setBelowOpen = useCallback(
		(line: number, open: boolean) => {
			const row = shown.row[line];
			if (row === undefined) return;
			if (shown.run[line]) setLineOpen(line, open);
			else change((folding) => setSubtreeOpen(model, folding, row, open));
		},
		[model, shown, setLineOpen, change],
	);
	const revealRow = useCallback(
		(row: number) => change((folding) => reveal(model, folding, row, kept)),
		[model, kept, change],
	);
	const setAllOpen = useCallback(
		(open: boolean) => change(() => (open ? openTree() : closeAll())),
		[change],
	);
	const hold = useCallback(() => change((folding) => folding), [change]);

	return { shown, setLineOpen, setBelowOpen, setAllOpen, revealRow, hold };
}
