import { describe, expect, test } from "vitest";
import { boxesPath, boxOf, labelSide, mergeBoxes, timeAt, xOf } from "./scale";

const scale = { from: 0, to: 1000, width: 500 };

describe("bars", () => {
	test("stand where their times are, and times where the pointer is", () => {
		expect(boxOf(scale, 100, 300)).toEqual({ x: 50, width: 100, beyond: 0 });
		expect(timeAt(scale, xOf(scale, 123))).toBeCloseTo(123);
	});

	test("are wide enough to be seen, however short", () => {
		expect(boxOf(scale, 100, 100)).toEqual({ x: 50, width: 2, beyond: 0 });
	});

	test("deep in a zoom are cut just outside of the view", () => {
		const deep = { from: 500, to: 500.001, width: 500 };
		const box = boxOf(deep, 0, 1000);
		expect(box.x).toBe(-8);
		expect(box.x + box.width).toBe(508);
	});

	test("out of view say on which side they are", () => {
		const right = { from: 500, to: 600, width: 500 };
		expect(boxOf(right, 0, 100).beyond).toBe(-1);
		expect(boxOf(right, 700, 800).beyond).toBe(1);
	});

	test("have their label where there is room", () => {
		expect(labelSide(boxOf(scale, 100, 300), 500, 6)).toBe("after");
		expect(labelSide(boxOf(scale, 700, 1000), 500, 6)).toBe("before");
		expect(labelSide(boxOf(scale, 0, 1000), 500, 6)).toBe("within");
	});

	test("that touch on the screen are drawn as one, and narrow ones left out if wanted", () => {
		const stretches = [
			{ from: 0, to: 10 },
			{ from: 11, to: 20 },
			{ from: 500, to: 502 },
		];
		expect(mergeBoxes(scale, stretches)).toHaveLength(2);
		expect(mergeBoxes(scale, stretches, { least: 5 })).toHaveLength(1);
	});

	test("as a path are a rectangle each", () => {
		expect(boxesPath([{ x: 1, width: 2 }], 12)).toBe("M1.0 0h2.0v12h-2.0z");
	});
});
