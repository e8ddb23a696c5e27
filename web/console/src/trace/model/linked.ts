/**
 * Work that was done for several at once, such as a statement of a group commit: a span is the child of the first it was
 * done for, and is shown under each of the others as well.
 */
import type { OutlineLinked } from "./outline";

export interface Linked {
	/** What is shown under row `r` beside its children is `rows[from[r]]` up to, without it, `rows[from[r + 1]]`. */
	readonly from: Int32Array;
	readonly rows: Int32Array;
}

export function buildLinked(count: number, groups: readonly OutlineLinked[]): Linked {
	const from = new Int32Array(count + 1);
	for (const { spans, under } of groups) {
		for (const row of under) from[row + 1] = (from[row + 1] ?? 0) + spans.length;
	}
	for (let row = 0; row < count; row++) {
		from[row + 1] = (from[row + 1] as number) + (from[row] as number);
	}
	const next = from.slice(0, count);
	const rows = new Int32Array(from[count] ?? 0);
	for (const { spans, under } of groups) {
		for (const row of under) {
			const at = next[row] ?? 0;
			rows.set(spans, at);
			next[row] = at + spans.length;
		}
	}
	return { from, rows };
}
