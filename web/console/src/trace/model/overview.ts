/** What is open at first: as much of the tree, from the top, as can be taken in at a glance. */
import type { TraceModel } from "./model";
import { alike, type Folding, leastRun, UNFOLDED } from "./rows";

/** A level that would bring more lines than this stays closed... */
const MANY_LINES = 60;
/** ...unless without it there would be hardly any. */
const FEW_LINES = 12;

/** A small trace is open wholly; of a larger one, spans are closed from the level on that would be too much to read. */
export function overview(model: TraceModel): Folding {
	let level = model.childrenOf(-1);
	let lines = 0;
	for (let depth = 0; level.length > 0; depth++) {
		if (lines > MANY_LINES) return { ...UNFOLDED, closedFrom: depth - 1 };
		const { count, open } = linesOf(model, level);
		if (depth > 0 && lines >= FEW_LINES && lines + count > MANY_LINES) {
			return { ...UNFOLDED, closedFrom: depth - 1 };
		}
		lines += count;
		level = childrenOfAll(model, open);
	}
	return UNFOLDED;
}

/** How many lines a level takes, and which of its spans are not hidden in a run. Its siblings stand side by side. */
function linesOf(model: TraceModel, level: Int32Array): { count: number; open: number[] } {
	const open: number[] = [];
	let count = 0;
	for (let at = 0; at < level.length; ) {
		const first = level[at] as number;
		let to = at + 1;
		while (to < level.length && sameRun(model, first, level[to] as number)) to++;
		const isRun = to - at >= leastRun(model, first);
		count += isRun ? 1 : to - at;
		if (!isRun) open.push(...level.subarray(at, to));
		at = to;
	}
	return { count, open };
}

function sameRun(model: TraceModel, a: number, b: number): boolean {
	return model.parentOf(a) === model.parentOf(b) && alike(model, a, b);
}

function childrenOfAll(model: TraceModel, rows: readonly number[]): Int32Array {
	const lists = rows.map((row) => model.childrenOf(row));
	const all = new Int32Array(lists.reduce((sum, list) => sum + list.length, 0));
	let at = 0;
	for (const list of lists) {
		all.set(list, at);
		at += list.length;
	}
	return all;
}
