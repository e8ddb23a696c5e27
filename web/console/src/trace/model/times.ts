/**
 * Times of spans that follow from the tree: how far a subtree reaches, what a span did itself, and where a span's children
 * left a gap between them.
 */
import type { Linked } from "./linked";
import { Flag, type OutlineSpans } from "./outline";
import type { Tree } from "./tree";

export interface Times {
	/** Nanoseconds after the trace's start. */
	readonly start: Float64Array;
	/** Never negative. Of an unfinished span: for as long as it is known to have run. */
	readonly duration: Float64Array;
	/** The latest end in the subtree. Events travel on after the span that sent them, so it may lie beyond the span's own. */
	readonly reach: Float64Array;
	/** The part of the duration in which neither its children ran nor what did work for it beside others. */
	readonly self: Float64Array;
	/** The latest end of all. */
	readonly total: number;
}

export function buildTimes(spans: OutlineSpans, tree: Tree, linked: Linked): Times {
	const count = spans.id.length;
	const start = new Float64Array(count);
	const duration = new Float64Array(count);
	const reach = new Float64Array(count);
	for (let row = 0; row < count; row++) {
		start[row] = finite(spans.start[row]);
		duration[row] = Math.max(0, finite(spans.duration[row]));
		reach[row] = (start[row] as number) + (duration[row] as number);
	}
	let total = 0;
	for (let at = count - 1; at >= 0; at--) {
		const row = tree.order[at] as number;
		const end = reach[row] as number;
		// What runs below an unfinished span shows that it was still running then.
		if ((spans.flags[row] as number) & Flag.pending) duration[row] = end - (start[row] as number);
		const above = tree.parent[row] as number;
		if (above >= 0) reach[above] = Math.max(reach[above] as number, end);
		total = Math.max(total, end);
	}
	return { start, duration, reach, total, self: selfTimes(start, duration, tree, linked) };
}

function finite(value: number | undefined): number {
	return value !== undefined && Number.isFinite(value) ? value : 0;
}

/** Duration without the union of the times of what ran for it, as far as these lie within. */
function selfTimes(
	start: Float64Array,
	duration: Float64Array,
	tree: Tree,
	linked: Linked,
): Float64Array {
	const self = duration.slice();
	for (let row = 0; row < self.length; row++) {
		const end = (start[row] as number) + (duration[row] as number);
		let covered = start[row] as number;
		for (const child of ranFor(row, tree, linked)) {
			const from = Math.max(covered, start[child] as number);
			const to = Math.min(end, (start[child] as number) + (duration[child] as number));
			if (to <= from) continue;
			self[row] = (self[row] as number) - (to - from);
			covered = to;
		}
	}
	return self;
}

/** The children of a span, and what did work for it beside others, by start. */
function ranFor(row: number, tree: Tree, linked: Linked): Int32Array {
	const children = tree.children.subarray(tree.childrenFrom[row + 1], tree.childrenFrom[row + 2]);
	const shared = linked.rows.subarray(linked.from[row], linked.from[row + 1]);
	if (shared.length === 0) return children;
	const all = new Int32Array(children.length + shared.length);
	all.set(children);
	all.set(shared, children.length);
	return all.sort();
}

/** A stretch of time, in nanoseconds after the trace's start. */
export interface Stretch {
	readonly from: number;
	readonly to: number;
}

/** Where, between two of these children (by start), a span had none running: it waited, or worked without telling. */
export function gapsBetween(children: Iterable<number>, row: number, times: Times): Stretch[] {
	const gaps: Stretch[] = [];
	const end = (times.start[row] as number) + (times.duration[row] as number);
	let covered = Number.NaN;
	for (const child of children) {
		const from = times.start[child] as number;
		if (covered < from && covered < end) gaps.push({ from: covered, to: Math.min(from, end) });
		const to = from + (times.duration[child] as number);
		// The first child opens: what the span did before it is no gap between children.
		covered = Number.isNaN(covered) ? to : Math.max(covered, to);
	}
	return gaps;
}

/** How long it was from the parent's end to the start: the time on the way to a span that follows its parent. */
export function handOver(row: number, times: Times, tree: Tree): Stretch | null {
	const parent = tree.parent[row] as number;
	if (parent < 0) return null;
	const from = (times.start[parent] as number) + (times.duration[parent] as number);
	const to = times.start[row] as number;
	return from < to ? { from, to } : null;
}
