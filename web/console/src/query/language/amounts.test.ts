import { describe, expect, test } from "vitest";
import { lengthOf, millisOf, nanosOf, numberOf } from "./amounts";

describe("amounts", () => {
	test("lengths of time have a number and a unit", () => {
		expect(["5ns", "2.5s", "1.m", "10min", "1w", ".5us"].map(nanosOf)).toEqual([
			5, 2.5e9, 60e9, 600e9, 604_800e9, 500,
		]);
		expect(["", "5", "s", "5 s", "5x", "-5s"].map(nanosOf)).toEqual(Array(6).fill(undefined));
	});

	test("numbers have none", () => {
		expect(["5", "-2.5", "1e3"].map(numberOf)).toEqual([5, -2.5, 1000]);
		expect(["", "5s", "0x10", "Infinity", "1e999"].map(numberOf)).toEqual(Array(5).fill(undefined));
	});

	test("times are UTC where nothing else is said", () => {
		const nine = Date.UTC(2026, 0, 31, 9);
		expect(millisOf("2026-01-31T09:00")).toBe(nine);
		expect(millisOf("2026-01-31t10:00:00.000+01:00")).toBe(nine);
		expect(millisOf("2026-01-31")).toBe(nine - 9 * 3_600_000);
		expect(["yesterday", "2026-13-31", "09:00"].map(millisOf)).toEqual(Array(3).fill(undefined));
	});

	test("a length is written in its largest whole unit", () => {
		expect([86_400e9, 90e9, 1500e6, 7].map(lengthOf)).toEqual(["1d", "90s", "1500ms", "7ns"]);
	});
});
