/** Finding spans by words in their names, ops and services, or by the beginning of their id; and stepping through them. */
import type { Kept } from "./filter";
import type { TraceModel } from "./model";

/** Fewer digits of an id would match half of all spans. */
const ID_DIGITS = 4;

/** Rows that have every word of the query, in the order in which the open tree is read. */
export function findSpans(model: TraceModel, query: string, kept: Kept | null): Int32Array {
	const words = query.toLowerCase().split(/\s+/).filter(Boolean);
	if (words.length === 0) return new Int32Array(0);
	const tests = words.map((word) => {
		const names = having(model.names, word);
		const ops = having(model.ops, word);
		const services = having(model.services, word);
		const byId = word.length >= ID_DIGITS && /^[0-9a-f]+$/.test(word);
		return (row: number) =>
			names[model.name[row] as number] ||
			ops[model.op[row] as number] ||
			services[model.service[row] as number] ||
			(byId && model.idOf(row).startsWith(word));
	});
	return rowsWhere(model, kept, (row) => tests.every((test) => test(row)));
}

/** Rows with an error, in the order in which the open tree is read. */
export function errorRows(model: TraceModel, kept: Kept | null): Int32Array {
	return rowsWhere(model, kept, (row) => model.isError(row));
}

function rowsWhere(
	model: TraceModel,
	kept: Kept | null,
	test: (row: number) => boolean | undefined,
): Int32Array {
	const found = new Int32Array(model.count);
	let count = 0;
	for (const row of model.tree.order) {
		if ((!kept || kept.shown[row]) && test(row)) found[count++] = row;
	}
	return found.slice(0, count);
}

function having(dictionary: readonly string[], word: string): boolean[] {
	return dictionary.map((entry) => entry.toLowerCase().includes(word));
}

/**
 * The place in `found` that comes after (or before) a row, round the ends; from row -1, the first or last. -1 if nothing was
 * found.
 */
export function step(
	model: TraceModel,
	found: Int32Array,
	from: number,
	direction: 1 | -1,
): number {
	if (found.length === 0) return -1;
	const { place } = model.tree;
	const here = from < 0 ? (direction === 1 ? -1 : model.count) : (place[from] ?? 0);
	// The first place at or after `here`.
	let low = 0;
	let high = found.length;
	while (low < high) {
		const middle = (low + high) >> 1;
		if ((place[found[middle] as number] as number) < here) low = middle + 1;
		else high = middle;
	}
	if (direction === -1) return (low - 1 + found.length) % found.length;
	const onIt = low < found.length && place[found[low] as number] === here;
	return (onIt ? low + 1 : low) % found.length;
}
