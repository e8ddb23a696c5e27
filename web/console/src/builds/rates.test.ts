import { expect, test } from "vitest";
import { NO_RATES, nextRates } from "./rates";

const build = (lastSeq: number, status: "active" | "completed" = "active") => ({
	sessionId: "a",
	status,
	lastSeq,
});

function rateAfter(samples: [seq: number, at: number][]) {
	const rates = samples.reduce((rates, [seq, at]) => nextRates(rates, [build(seq)], at), NO_RATES);
	return rates.get("a")?.rate;
}

test("one poll tells no rate, two tell it", () => {
	expect(rateAfter([[100, 0]])).toBeUndefined();
	expect(
		rateAfter([
			[100, 0],
			[150, 1_000],
		]),
	).toBe(50);
});

test("the time between the polls counts, not their number", () => {
	expect(
		rateAfter([
			[0, 0],
			[300, 3_000],
		]),
	).toBe(100);
});

test("a burst moves the rate by degrees, and what lasts becomes the rate", () => {
	const steady: [number, number][] = [
		[0, 0],
		[10, 1_000],
	];
	const burst = rateAfter([...steady, [110, 2_000]]) ?? 0;
	expect(burst).toBeGreaterThan(10);
	expect(burst).toBeLessThan(100);
	const lasting: [number, number][] = Array.from({ length: 20 }, (_, s) => [100 * s, 1_000 * s]);
	expect(rateAfter([...lasting])).toBeCloseTo(100, 5);
});

test("a build that sends nothing any more comes down to 0", () => {
	const silent: [number, number][] = Array.from({ length: 30 }, (_, s) => [50, 1_000 * (s + 2)]);
	expect(rateAfter([[0, 0], [50, 1_000], ...silent])).toBe(0);
});

test("answers that come together do not make a rate of their own", () => {
	expect(
		rateAfter([
			[0, 0],
			[50, 1_000],
			[60, 1_010],
		]),
	).toBe(50);
});

test("a build that has ended has no rate any more", () => {
	const rates = nextRates(nextRates(NO_RATES, [build(1)], 0), [build(9, "completed")], 1_000);
	expect(rates.has("a")).toBe(false);
});
