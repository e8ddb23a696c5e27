/** Cuts a part of a text where its look changes and where a search has matched. */
import type { Run } from "./ansi";

export interface Segment {
	start: number;
	end: number;
	look: string;
	/** Whether it is part of a match, or of the one that the search stands at. */
	match?: "match" | "current" | undefined;
}

export interface Matches {
	/** Where each begins, in order. */
	starts: readonly number[];
	/** How long each is. */
	length: number;
	/** Which one the search stands at. */
	current: number;
}

/** The segments from `start` to `end`; plain ones have an empty look. */
export function segments(
	start: number,
	end: number,
	runs: readonly Run[],
	matches?: Matches,
): Segment[] {
	const parts: Segment[] = [];
	let at = start;
	let run = firstAfter(runs.length, (index) => (runs[index]?.end ?? 0) > start);
	while (at < end) {
		const next = runs[run];
		if (!next || next.start >= end) {
			mark(parts, at, end, "", matches);
			break;
		}
		if (next.start > at) mark(parts, at, next.start, "", matches);
		const until = Math.min(next.end, end);
		mark(parts, Math.max(next.start, at), until, next.look, matches);
		at = until;
		run++;
	}
	return parts;
}

/** Adds one look's stretch, cut at the matches within. */
function mark(parts: Segment[], from: number, to: number, look: string, matches?: Matches): void {
	let at = from;
	if (matches && matches.length > 0) {
		const { starts, length, current } = matches;
		let index = firstAfter(starts.length, (index) => (starts[index] ?? 0) + length > from);
		for (; index < starts.length; index++) {
			const start = starts[index] ?? 0;
			if (start >= to) break;
			const [begin, end] = [Math.max(start, at), Math.min(start + length, to)];
			if (begin > at) parts.push({ start: at, end: begin, look });
			parts.push({ start: begin, end, look, match: index === current ? "current" : "match" });
			at = end;
		}
	}
	if (at < to) parts.push({ start: at, end: to, look });
}

/** The first of `count` sorted things for which `holds`, by halving. */
export function firstAfter(count: number, holds: (index: number) => boolean): number {
	let [low, high] = [0, count];
	while (low < high) {
		const middle = (low + high) >>> 1;
		if (holds(middle)) high = middle;
		else low = middle + 1;
	}
	return low;
}
