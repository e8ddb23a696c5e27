import { describe, expect, test } from "vitest";
import type { Answer } from "./answer";
import {
	boundsOf,
	countAt,
	countIn,
	durationOf,
	heatOf,
	ordered,
	strengthOf,
	tenfolds,
} from "./heat";

const START = Date.UTC(2026, 0, 31, 9);
const STEP = 30_000;

function answer(...cells: [column: number, bucket: number, count: number][]): Answer {
	return {
		columns: [
			{ name: "time", unit: "time" },
			{ name: "bucket", unit: "plain" },
			{ name: "spans", unit: "plain" },
		],
		rows: cells.map(([column, bucket, count]) => [
			new Date(START + column * STEP).toISOString(),
			bucket,
			count,
		]),
		more: false,
	};
}

const made = (...cells: [number, number, number][]) => {
	const heat = heatOf(answer(...cells), STEP);
	if (!heat) throw new Error("no cells");
	return heat;
};

describe("the cells of a heat map", () => {
	test("lie by time and duration, with empty ones between", () => {
		const heat = made([0, 24, 5], [2, 26, 7]);
		expect(heat).toMatchObject({
			start: START,
			columns: 3,
			lowest: 24,
			rows: 3,
			most: 7,
			total: 12,
		});
		expect(countAt(heat, 0, 0)).toBe(5);
		expect(countAt(heat, 2, 2)).toBe(7);
		expect(countAt(heat, 1, 1)).toBe(0);
	});

	test("take in the whole of the time asked about", () => {
		const stretch = { from: START - 3 * STEP + 1, to: START + 10 * STEP };
		expect(heatOf(answer([0, 24, 1]), STEP, stretch)).toMatchObject({
			start: START - 3 * STEP,
			columns: 13,
		});
	});

	test("leave empty time out where there would be no room", () => {
		const stretch = { from: 0, to: START + STEP };
		expect(heatOf(answer([0, 24, 1]), STEP, stretch)).toMatchObject({ start: START, columns: 1 });
	});

	test("of no spans are none", () => {
		expect(heatOf(answer(), STEP)).toBeUndefined();
	});
});

describe("durations of rows", () => {
	test("rise tenfold in eight rows, and are whole nanoseconds within their row", () => {
		const heat = made([0, 24, 1], [0, 40, 1]);
		expect([0, 8, 16].map((row) => durationOf(heat, row))).toEqual([1_000, 10_000, 100_000]);
		for (let row = 0; row < 17; row += 1) {
			const shortest = durationOf(heat, row);
			expect(Math.floor(Math.log10(shortest) * 8)).toBe(24 + row);
			expect(Math.floor(Math.log10(shortest - 1) * 8)).toBe(23 + row);
		}
	});

	test("are told where a tenfold begins", () => {
		expect(tenfolds(made([0, 22, 1], [0, 41, 1]))).toEqual([
			{ row: 2, duration: 1_000 },
			{ row: 10, duration: 10_000 },
			{ row: 18, duration: 100_000 },
		]);
	});
});

describe("regions", () => {
	const heat = made([0, 24, 5], [1, 25, 3], [2, 26, 7]);

	test("are the same whichever corner one begins at", () => {
		const region = { column: 2, row: 2, toColumn: 1, toRow: 0 };
		expect(ordered(region)).toEqual({ column: 1, row: 0, toColumn: 2, toRow: 2 });
		expect(countIn(heat, region)).toBe(10);
	});

	test("have bounds that hold their cells and no others", () => {
		expect(boundsOf(heat, { column: 1, row: 0, toColumn: 1, toRow: 7 })).toEqual({
			from: START + STEP,
			to: START + 2 * STEP,
			shortest: 1_000,
			longest: 10_000,
		});
	});
});

test("few spans are seen beside many", () => {
	expect(strengthOf(0, 1e6)).toBe(0);
	expect(strengthOf(1, 1e6)).toBeGreaterThan(0.04);
	expect(strengthOf(1e6, 1e6)).toBe(1);
});
