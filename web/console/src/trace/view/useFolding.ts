/** What is open in a waterfall, and the lines that follow from it. */
import { useCallback, useMemo, useState } from "react";
import type { Kept } from "../model/filter";
import type { TraceModel } from "../model/model";
import { closeAll, openTree, reveal, setOpen, setRunOpen, setSubtreeOpen } from "../model/reveal";
import { Fold, type Folding, shownRows, UNFOLDED } from "../model/rows";

export function useFolding(model: TraceModel, kept: Kept | null) {
	const [folding, setFolding] = useState<Folding>(UNFOLDED);
	const shown = useMemo(() => shownRows(model, folding, kept), [model, folding, kept]);

	const setLineOpen = useCallback(
		(line: number, open: boolean) => {
			const row = shown.row[line];
			if (row === undefined || shown.fold[line] === Fold.leaf) return;
			const set = shown.run[line] ? setRunOpen : setOpen;
			setFolding((folding) => set(model, folding, row, open));
		},
		[model, shown],
	);
	const setBelowOpen = useCallback(
		(line: number, open: boolean) => {
			const row = shown.row[line];
			if (row === undefined) return;
			if (shown.run[line]) setLineOpen(line, open);
			else setFolding((folding) => setSubtreeOpen(model, folding, row, open));
		},
		[model, shown, setLineOpen],
	);
	const revealRow = useCallback(
		(row: number) => setFolding((folding) => reveal(model, folding, row, kept)),
		[model, kept],
	);
	const setAllOpen = useCallback((open: boolean) => setFolding(open ? openTree() : closeAll()), []);

	return { shown, setLineOpen, setBelowOpen, revealRow, setAllOpen };
}
