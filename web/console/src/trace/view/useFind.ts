/** What the search finds, and where in it the reader is. */
import { useMemo } from "react";
import type { Kept } from "../model/filter";
import { errorRows, findSpans, step } from "../model/find";
import type { TraceModel } from "../model/model";

export interface Find {
	readonly found: Int32Array;
	has(row: number): boolean;
	/** The place in `found` of a row, from 1; 0 if it is none of these. */
	placeOf(row: number): number;
	/** The row to go to, or -1. */
	match(from: number, direction: 1 | -1): number;
	error(from: number, direction: 1 | -1): number;
}

export function useFind(model: TraceModel, query: string, kept: Kept | null): Find {
	return useMemo(() => {
		const found = findSpans(model, query, kept);
		const rows = new Set(found);
		let errors: Int32Array | null = null;
		return {
			found,
			has: (row) => rows.has(row),
			placeOf: (row) => found.indexOf(row) + 1,
			match: (from, direction) => found[step(model, found, from, direction)] ?? -1,
			error: (from, direction) => {
				errors ??= errorRows(model, kept);
				return errors[step(model, errors, from, direction)] ?? -1;
			},
		};
	}, [model, query, kept]);
}
