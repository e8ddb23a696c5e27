/** Walks through a heat map's cells by keys. */

import { type Heat, type Region, ROWS_PER_TENFOLD } from "./heat";

const STEPS: Record<string, [columns: number, rows: number]> = {
	ArrowLeft: [-1, 0],
	ArrowRight: [1, 0],
	ArrowUp: [0, 1],
	ArrowDown: [0, -1],
	PageUp: [0, ROWS_PER_TENFOLD],
	PageDown: [0, -ROWS_PER_TENFOLD],
	Home: [Number.NEGATIVE_INFINITY, 0],
	End: [Number.POSITIVE_INFINITY, 0],
};

/** The cell or region that a key leads to; nothing if the key leads nowhere. With Shift the first corner stays. */
export function keyedRegion(
	heat: Heat,
	region: Region | undefined,
	key: string,
	isShifted: boolean,
): Region | undefined {
	const step = STEPS[key];
	if (!step) return undefined;
	if (!region) {
		const { column, row } = fullest(heat);
		return { column, row, toColumn: column, toRow: row };
	}
	const within = (at: number, count: number) => Math.max(0, Math.min(count - 1, at));
	const toColumn = within(region.toColumn + step[0], heat.columns);
	const toRow = within(region.toRow + step[1], heat.rows);
	return isShifted
		? { ...region, toColumn, toRow }
		: { column: toColumn, row: toRow, toColumn, toRow };
}

/** The cell with the most spans: where a walk begins. */
export function fullest({ counts, columns }: Heat): { column: number; row: number } {
	let most = 0;
	counts.forEach((count, at) => {
		if (count > (counts[most] ?? 0)) most = at;
	});
	return { column: most % columns, row: Math.floor(most / columns) };
}
