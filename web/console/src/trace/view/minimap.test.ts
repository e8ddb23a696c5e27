import { describe, expect, test } from "vitest";
import { outlineOf } from "../fixtures/outline";
import { serviceHues } from "../model/colours";
import { applyFilter, NO_FILTER } from "../model/filter";
import { TraceModel } from "../model/model";
import { type Colour, paintMinimap } from "./minimap";

const hues: Colour[] = [
	[255, 0, 0],
	...Array.from({ length: 8 }, (_, at): Colour => [0, 0, at + 1]),
];

function paint(model: TraceModel, size: { width: number; height: number }, filter = NO_FILTER) {
	const kept = applyFilter(model, filter);
	const total = model.times.total;
	const picture = paintMinimap(model, { ...size, total }, serviceHues(model), { hues }, kept);
	return (x: number, y: number) =>
		Array.from(picture.pixels.subarray((y * size.width + x) * 4, (y * size.width + x) * 4 + 4));
}

const small = new TraceModel(
	outlineOf([
		{ id: "a", service: "one", start: 0, duration: 100 },
		{ id: "b", parent: "a", service: "two", start: 50, duration: 50, status: 2 },
	]),
);

describe("the minimap", () => {
	test("has a line for each span of a small trace, errors in their colour", () => {
		const at = paint(small, { width: 100, height: 20 });
		expect(at(10, 0)).toEqual([0, 0, 1, 255]);
		expect(at(10, 10)).toEqual([0, 0, 0, 0]);
		expect(at(70, 10)).toEqual([255, 0, 0, 255]);
	});

	test("draws what a filter leaves out faintly", () => {
		const at = paint(small, { width: 100, height: 20 }, { ...NO_FILTER, errors: true });
		expect(at(10, 0)[3]).toBeLessThan(100);
		expect(at(70, 10)[3]).toBe(255);
	});

	test("of an empty trace is empty", () => {
		const empty = new TraceModel(outlineOf([]));
		expect(paint(empty, { width: 10, height: 10 })(5, 5)).toEqual([0, 0, 0, 0]);
	});
});
