/**
 * The cells of a heat map: how many spans of which duration began when.
 *
 * Durations lie on a logarithmic scale, eight rows to a tenfold, so that microseconds and minutes fit on one map and a
 * row is as much slower than the one below it everywhere.
 */

import { type Answer, millisOf, numberOf } from "./answer";
import type { Stretch } from "./series";

/** How many rows a tenfold of duration has. */
export const ROWS_PER_TENFOLD = 8;

/** More columns than a screen has room for would be drawn over each other. */
const MOST_COLUMNS = 1_000;

export type Heat = {
	/** When the first column begins, in milliseconds since 1970. */
	start: number;
	/** How long a column is, in milliseconds. */
	step: number;
	columns: number;
	/** The logarithmic bucket of the lowest row. */
	lowest: number;
	rows: number;
	/** Spans by row and column: the lowest row first. */
	counts: Float64Array;
	most: number;
	total: number;
};

/** Cells from one corner to the opposite one, both included. */
export type Region = { column: number; row: number; toColumn: number; toRow: number };

/** The cells, from rows of a time, a bucket and a count. `step` is in milliseconds. */
export function heatOf(answer: Answer, step: number, stretch?: Stretch): Heat | undefined {
	const cells = answer.rows.flatMap(([time, bucket, count]) => {
		const [at, row, spans] = [millisOf(time), numberOf(bucket), numberOf(count)];
		return at === null || row === null || !spans ? [] : [{ at, row, spans }];
	});
	if (cells.length === 0) return undefined;
	let [first, last, lowest, highest] = [Infinity, -Infinity, Infinity, -Infinity];
	for (const { at, row } of cells) {
		[first, last] = [Math.min(first, at), Math.max(last, at)];
		[lowest, highest] = [Math.min(lowest, row), Math.max(highest, row)];
	}
	// The whole of the time asked about is shown, as far as there is room.
	const from = stretch ? Math.min(first, Math.floor(stretch.from / step) * step) : first;
	const to = stretch ? Math.max(last, Math.floor((stretch.to - 1) / step) * step) : last;
	const isRoom = (to - from) / step < MOST_COLUMNS;
	const start = isRoom ? from : first;
	const columns = Math.round(((isRoom ? to : last) - start) / step) + 1;
	const rows = highest - lowest + 1;
	const counts = new Float64Array(rows * columns);
	for (const { at, row, spans } of cells) {
		const column = Math.round((at - start) / step);
		counts[(row - lowest) * columns + column] = spans;
	}
	const most = counts.reduce((most, count) => Math.max(most, count), 0);
	const total = counts.reduce((total, count) => total + count, 0);
	return { start, step, columns, lowest, rows, counts, most, total };
}

/** How many spans are in a cell. */
export function countAt({ counts, columns }: Heat, column: number, row: number): number {
	return counts[row * columns + column] ?? 0;
}

/** The shortest duration of a row, in whole nanoseconds. */
export function durationOf({ lowest }: Heat, row: number): number {
	// A bucket's edge is between two whole numbers: the first one above it is in the bucket.
	const edge = 10 ** ((lowest + row) / ROWS_PER_TENFOLD);
	const nearest = Math.round(edge);
	return Math.abs(nearest - edge) < edge * 1e-12 ? nearest : Math.ceil(edge);
}

/** A region whose first corner is the earlier and the lower one. */
export function ordered({ column, row, toColumn, toRow }: Region): Region {
	return {
		column: Math.min(column, toColumn),
		row: Math.min(row, toRow),
		toColumn: Math.max(column, toColumn),
		toRow: Math.max(row, toRow),
	};
}

/** The spans of a region: when they began, from and up to, and how long they took, from and up to, in nanoseconds. */
export type Bounds = Stretch & { shortest: number; longest: number };

export function boundsOf(heat: Heat, region: Region): Bounds {
	const { column, row, toColumn, toRow } = ordered(region);
	return {
		from: heat.start + column * heat.step,
		to: heat.start + (toColumn + 1) * heat.step,
		shortest: durationOf(heat, row),
		longest: durationOf(heat, toRow + 1),
	};
}

/** How many spans are in a region. */
export function countIn(heat: Heat, region: Region): number {
	const { column, row, toColumn, toRow } = ordered(region);
	let total = 0;
	for (let y = row; y <= toRow; y += 1) {
		for (let x = column; x <= toColumn; x += 1) total += countAt(heat, x, y);
	}
	return total;
}

/** How many spans took how long, as a table: the longest first. */
export function durationsOf(heat: Heat): Answer {
	const rows = Array.from({ length: heat.rows }, (_, at) => {
		const row = heat.rows - 1 - at;
		const region = { column: 0, row, toColumn: heat.columns - 1, toRow: row };
		return [durationOf(heat, row), durationOf(heat, row + 1), countIn(heat, region)];
	});
	return {
		columns: [
			{ name: "from", unit: "nanoseconds" },
			{ name: "up to", unit: "nanoseconds" },
			{ name: "spans", unit: "plain" },
		],
		rows: rows.filter(([, , spans]) => spans !== 0),
		more: false,
	};
}

/** How strongly a cell is coloured, from 0 to 1: few spans are to be seen beside many. */
export function strengthOf(count: number, most: number): number {
	return count <= 0 || most <= 0 ? 0 : Math.log1p(count) / Math.log1p(most);
}

/** The rows at which a tenfold begins, and its duration in nanoseconds. */
export function tenfolds({ lowest, rows }: Heat): { row: number; duration: number }[] {
	const first = Math.ceil(lowest / ROWS_PER_TENFOLD);
	const last = Math.floor((lowest + rows) / ROWS_PER_TENFOLD);
	return Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => ({
		row: (first + at) * ROWS_PER_TENFOLD - lowest,
		duration: 10 ** (first + at),
	}));
}
