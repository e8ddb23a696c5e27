import { expect, test } from "vitest";
import type { Heat } from "./heat";
import { keyedRegion } from "./walk";

/** Three columns, two rows; the fullest cell is the upper one in the middle. */
const heat: Heat = {
	start: 0,
	step: 1000,
	columns: 3,
	lowest: 24,
	rows: 2,
	counts: Float64Array.of(1, 0, 2, 0, 9, 0),
	most: 9,
	total: 12,
};

const cell = (column: number, row: number) => ({ column, row, toColumn: column, toRow: row });

test("a walk begins at the fullest cell, whichever arrow begins it", () => {
	expect(keyedRegion(heat, undefined, "ArrowLeft", false)).toEqual(cell(1, 1));
});

test("arrows lead from cell to cell and end at the edges", () => {
	expect(keyedRegion(heat, cell(1, 1), "ArrowDown", false)).toEqual(cell(1, 0));
	expect(keyedRegion(heat, cell(1, 1), "ArrowUp", false)).toEqual(cell(1, 1));
	expect(keyedRegion(heat, cell(1, 1), "End", false)).toEqual(cell(2, 1));
	expect(keyedRegion(heat, cell(1, 1), "PageDown", false)).toEqual(cell(1, 0));
});

test("with Shift the first corner stays", () => {
	const region = keyedRegion(heat, cell(1, 1), "ArrowLeft", true);
	expect(region).toEqual({ column: 1, row: 1, toColumn: 0, toRow: 1 });
	expect(keyedRegion(heat, region, "ArrowDown", true)).toEqual({
		column: 1,
		row: 1,
		toColumn: 0,
		toRow: 0,
	});
});

test("other keys lead nowhere", () => {
	expect(keyedRegion(heat, cell(0, 0), "a", false)).toBeUndefined();
});
