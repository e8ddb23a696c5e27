/** Which spans stay when a trace is filtered: those that match, and, for their place in the tree, those above them. */
import type { TraceModel } from "./model";

export interface Filter {
	/** Names of services and ops; of an empty list, any. */
	readonly services: readonly string[];
	readonly ops: readonly string[];
	readonly errors: boolean;
}

export const NO_FILTER: Filter = { services: [], ops: [], errors: false };

export interface Kept {
	/** By row: it matches, or a span below it does. */
	readonly shown: Uint8Array;
	/** By row: it matches itself. */
	readonly matches: Uint8Array;
	/** By row: how many spans below it are shown. */
	readonly below: Int32Array;
	readonly count: number;
}

/** Null when nothing is filtered. */
export function applyFilter(model: TraceModel, filter: Filter): Kept | null {
	if (filter.services.length === 0 && filter.ops.length === 0 && !filter.errors) return null;
	const services = wanted(model.services, filter.services);
	const ops = wanted(model.ops, filter.ops);
	const shown = new Uint8Array(model.count);
	const matches = new Uint8Array(model.count);
	const below = new Int32Array(model.count);
	let count = 0;
	const { order, parent } = model.tree;
	for (let at = model.count - 1; at >= 0; at--) {
		const row = order[at] as number;
		const matching =
			(services === null || services[model.service[row] as number]) &&
			(ops === null || ops[model.op[row] as number]) &&
			(!filter.errors || model.isError(row));
		if (matching) {
			matches[row] = 1;
			count++;
		}
		if (!matching && below[row] === 0) continue;
		shown[row] = 1;
		const above = parent[row] as number;
		if (above >= 0) below[above] = (below[above] as number) + (below[row] as number) + 1;
	}
	return { shown, matches, below, count };
}

/** For each word of a dictionary whether it is asked for; null for any. Words that this trace lacks match nothing. */
function wanted(dictionary: readonly string[], words: readonly string[]): boolean[] | null {
	if (words.length === 0) return null;
	const set = new Set(words);
	return dictionary.map((word) => set.has(word));
}
