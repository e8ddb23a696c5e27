/** Changes of what is open: one row's, everything below one, all, and whatever it takes to see a span. */
import type { Kept } from "./filter";
import type { TraceModel } from "./model";
import { alike, type Folding, isClosed, isRunOpen, leastRun, UNFOLDED } from "./rows";

export function setOpen(model: TraceModel, folding: Folding, row: number, open: boolean): Folding {
	if (isClosed(model, folding, row) !== open) return folding;
	return { ...folding, flipped: flip(folding.flipped, model.idOf(row)) };
}

export function setRunOpen(
	model: TraceModel,
	folding: Folding,
	first: number,
	open: boolean,
): Folding {
	if (isRunOpen(model, folding, first) === open) return folding;
	return { ...folding, flippedRuns: flip(folding.flippedRuns, model.idOf(first)) };
}

/** Opens or closes a span and every span below it. Runs stay as they are. */
export function setSubtreeOpen(
	model: TraceModel,
	folding: Folding,
	row: number,
	open: boolean,
): Folding {
	const { order, place, size, depth } = model.tree;
	const flipped = new Set(folding.flipped);
	const from = place[row] ?? 0;
	for (let at = from; at < from + (size[row] ?? 0); at++) {
		const next = order[at] as number;
		if ((size[next] as number) === 1) continue;
		const closedByRule = (depth[next] as number) >= folding.closedFrom;
		if (closedByRule === open) flipped.add(model.idOf(next));
		else flipped.delete(model.idOf(next));
	}
	return { ...folding, flipped };
}

/** Every subtree is open; runs of like siblings stay one row each. */
export const openTree = (): Folding => UNFOLDED;

/** Only the roots and their children are left. */
export const closeAll = (): Folding => ({ ...UNFOLDED, closedFrom: 1 });

/** Opens what hides a span: closed spans above it, and runs that it or one of these is part of. */
export function reveal(
	model: TraceModel,
	folding: Folding,
	row: number,
	kept: Kept | null,
): Folding {
	let next = folding;
	for (let at = row; at >= 0; at = model.parentOf(at)) {
		if (at !== row) next = setOpen(model, next, at, true);
		const first = runOf(model, at, kept);
		if (first >= 0) next = setRunOpen(model, next, first, true);
	}
	return next;
}

/** The first span of the run that a span is part of, or -1. */
export function runOf(model: TraceModel, row: number, kept: Kept | null): number {
	const siblings = model.childrenOf(model.parentOf(row));
	const place = placeIn(siblings, row);
	const shown = (at: number) => !kept || kept.shown[siblings[at] as number] === 1;
	const least = leastRun(model, row);
	let first = row;
	let length = 1;
	for (let at = place - 1; at >= 0; at--) {
		if (!shown(at)) continue;
		if (!alike(model, row, siblings[at] as number)) break;
		first = siblings[at] as number;
		length++;
	}
	for (let at = place + 1; at < siblings.length && length < least; at++) {
		if (!shown(at)) continue;
		if (!alike(model, row, siblings[at] as number)) break;
		length++;
	}
	return length >= least ? first : -1;
}

/** Siblings stand in the order of rows, so the place is found by halving. */
function placeIn(siblings: Int32Array, row: number): number {
	let low = 0;
	let high = siblings.length - 1;
	while (low < high) {
		const middle = (low + high) >> 1;
		if ((siblings[middle] as number) < row) low = middle + 1;
		else high = middle;
	}
	return low;
}

function flip(set: ReadonlySet<string>, id: string): ReadonlySet<string> {
	const next = new Set(set);
	if (!next.delete(id)) next.add(id);
	return next;
}
