/**
 * The critical path: which spans, and the ways between them, made the trace take as long as it did. Read backwards from the
 * span that ended last: before each moment, the child that ended last is what the span had waited for; before the first of
 * its children it did its own work; and before its own start it was on the way from its parent.
 *
 * Hops follow the span that caused them rather than run within it, so a path goes up through parents that have long ended. A
 * child that ends later than the moment held nothing up, and is not part of it.
 */
import type { TraceModel } from "./model";

export interface CriticalSegment {
	readonly row: number;
	readonly from: number;
	readonly to: number;
	/** On the way from the parent to this span, instead of in it. */
	readonly waiting: boolean;
}

export interface CriticalPath {
	/** In the order in which the open tree is read, so that those of a subtree stand together; of one span, by time. */
	readonly segments: readonly CriticalSegment[];
	/** By row: it is on the path. */
	readonly on: Uint8Array;
	/** Nanoseconds by row that it adds to the path, without waiting. */
	readonly time: Float64Array;
	/** Nanoseconds that the path waits. */
	readonly waited: number;
	readonly total: number;
}

export function criticalPath(model: TraceModel): CriticalPath {
	const on = new Uint8Array(model.count);
	const time = new Float64Array(model.count);
	const segments: CriticalSegment[] = [];
	const candidates = new Map<number, Candidates>();
	let waited = 0;
	let total = 0;
	const add = (row: number, from: number, to: number, waiting: boolean) => {
		if (to <= from) return;
		segments.push({ row, from, to, waiting });
		total += to - from;
		if (waiting) waited += to - from;
		else time[row] = (time[row] as number) + (to - from);
	};

	let row = lastToEnd(model);
	let moment = row < 0 ? 0 : model.endOf(row);
	while (row >= 0) {
		on[row] = 1;
		let left = candidates.get(row);
		if (!left) {
			left = new Candidates(model, row);
			candidates.set(row, left);
		}
		const child = left.before(moment, on);
		if (child >= 0) {
			add(row, model.endOf(child), moment, false);
			moment = model.endOf(child);
			row = child;
			continue;
		}
		add(row, model.startOf(row), moment, false);
		moment = Math.min(moment, model.startOf(row));
		const parent = model.parentOf(row);
		if (parent >= 0) {
			add(row, model.endOf(parent), moment, true);
			moment = Math.min(moment, model.endOf(parent));
		}
		row = parent;
	}
	const { place } = model.tree;
	segments.sort((a, b) => (place[a.row] ?? 0) - (place[b.row] ?? 0) || a.from - b.from);
	return { segments, on, time, waited, total };
}

function lastToEnd(model: TraceModel): number {
	let last = -1;
	for (let row = 0; row < model.count; row++) {
		if (last < 0 || model.endOf(row) > model.endOf(last)) last = row;
	}
	return last;
}

/** The children of a span, the last to end first. Moments only go back, so each is looked at once. */
class Candidates {
	readonly #rows: Int32Array;
	readonly #model: TraceModel;
	readonly #from: number;
	#at = 0;

	constructor(model: TraceModel, row: number) {
		this.#model = model;
		this.#from = model.startOf(row);
		this.#rows = model.childrenOf(row).slice();
		this.#rows.sort((a, b) => model.endOf(b) - model.endOf(a));
	}

	/** The last to end at or before the moment, of those not on the path yet, or -1. */
	before(moment: number, on: Uint8Array): number {
		while (this.#at < this.#rows.length) {
			const child = this.#rows[this.#at++] as number;
			const end = this.#model.endOf(child);
			// By clocks that differ a child may end before its parent begins: nothing waited for it.
			if (end < this.#from) break;
			if (!on[child] && end <= moment) return child;
		}
		return -1;
	}
}

/** The path's segments in the rows from one place of the open tree to another: of a span, or of a closed subtree. */
export function segmentsWithin(
	model: TraceModel,
	path: CriticalPath,
	fromPlace: number,
	toPlace: number,
): readonly CriticalSegment[] {
	const firstAt = (wanted: number) => {
		let low = 0;
		let high = path.segments.length;
		while (low < high) {
			const middle = (low + high) >> 1;
			const row = path.segments[middle]?.row ?? 0;
			if ((model.tree.place[row] ?? 0) < wanted) low = middle + 1;
			else high = middle;
		}
		return low;
	};
	return path.segments.slice(firstAt(fromPlace), firstAt(toPlace));
}

/** What the path is made of: time by span name, the most first. */
export function criticalShares(
	model: TraceModel,
	path: CriticalPath,
): [name: string, ns: number][] {
	const byName = new Float64Array(model.names.length);
	for (let row = 0; row < model.count; row++) {
		const name = model.name[row] as number;
		byName[name] = (byName[name] as number) + (path.time[row] as number);
	}
	return model.names
		.map((name, at): [string, number] => [name, byName[at] ?? 0])
		.filter(([, ns]) => ns > 0)
		.sort((a, b) => b[1] - a[1]);
}
