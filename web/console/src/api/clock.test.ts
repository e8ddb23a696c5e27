import { expect, test } from "vitest";
import { narrowed, offsetWithin } from "./clock";

/** What an answer says if the server's clock is `offset` ahead and the answer takes no time. */
function answer(offset: number, at: number) {
	const second = Math.floor((at + offset) / 1000) * 1000;
	return { least: second - at, most: second + 1000 - at };
}

test("clocks that may agree are taken to agree", () => {
	expect(offsetWithin(answer(0, 12_345))).toBe(0);
	expect(offsetWithin(answer(300, 12_345))).toBe(0);
});

test("a few answers tell a clock that is a day off to a fraction of a second", () => {
	const day = 86_400_000;
	const times = [100_037, 101_412, 102_790, 104_155, 105_555];
	const bounds = times.map((at) => answer(-day - 250, at)).reduce(narrowed);
	expect(Math.abs(offsetWithin(bounds) + day + 250)).toBeLessThan(200);
});

test("a clock that was set meanwhile is learnt anew", () => {
	const before = answer(0, 1_000);
	const after = answer(3_600_000, 2_000);
	expect(narrowed(before, after)).toEqual(after);
});
