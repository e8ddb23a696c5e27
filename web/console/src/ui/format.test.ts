import { describe, expect, test } from "vitest";
import {
	formatAgo,
	formatBytes,
	formatCount,
	formatDuration,
	formatElapsed,
	formatRate,
	formatTime,
} from "./format";

const plain = (text: string) => text.replaceAll("\u00a0", " ");

describe("a duration", () => {
	test.each([
		[0, "0 ms"],
		[820, "820 ns"],
		[12_340, "12.3 µs"],
		[999_960, "1 ms"],
		[4_560_000, "4.56 ms"],
		[999_999_999, "1 s"],
		[59_940_000_000, "59.9 s"],
		[59_999_000_000, "1m 00s"],
		[123_000_000_000, "2m 03s"],
		[3_720_000_000_000, "1h 02m"],
		[187_200_000_000_000, "2d 04h"],
		[-5_000_000, "-5 ms"],
		[Number.NaN, "–"],
	])("of %d ns reads %s", (ns, text) => {
		expect(plain(formatDuration(ns))).toBe(text);
	});

	test("that still runs ticks in whole seconds and never runs backwards past zero", () => {
		expect([-300, 999, 59_999, 61_000].map((ms) => plain(formatElapsed(ms)))).toEqual([
			"0 s",
			"0 s",
			"59 s",
			"1m 01s",
		]);
	});
});

test.each([
	[0, "0"],
	[99_999, "99,999"],
	[100_000, "100k"],
	[999_999, "1M"],
	[4_560_000, "4.56M"],
	[7_800_000_000_000_000, "7800T"],
])("a count of %d reads %s", (count, text) => {
	expect(formatCount(count)).toBe(text);
});

test.each([
	[0, "0"],
	[0.25, "0.3"],
	[12.4, "12"],
	[2345, "2,345"],
])("a rate of %d reads %s", (rate, text) => {
	expect(formatRate(rate)).toBe(text);
});

test.each([
	[0, "0 B"],
	[1023, "1,023 B"],
	[1536, "1.5 KiB"],
	[1_048_575, "1 MiB"],
	[10 * 1024 * 1024, "10 MiB"],
])("%d bytes read %s", (bytes, text) => {
	expect(plain(formatBytes(bytes))).toBe(text);
});

test("a time says only what today leaves open", () => {
	const now = new Date(2026, 10, 30, 18, 0, 0);
	expect(formatTime(new Date(2026, 10, 30, 9, 5, 7), now)).toBe("09:05:07");
	expect(formatTime(new Date(2026, 1, 3, 9, 5, 7), now)).toMatch(/^3 Feb,? 09:05$/);
	expect(formatTime(new Date(2024, 1, 3), now)).toBe("3 Feb 2024");
	expect(formatTime("nonsense", now)).toBe("–");
});

test("what a skewed clock puts into the future happened just now", () => {
	const now = Date.UTC(2026, 0, 1);
	const ago = (seconds: number) => plain(formatAgo(now - seconds * 1000, now));
	expect([-90, 4, 59, 61, 7200, 200_000].map(ago)).toEqual([
		"just now",
		"just now",
		"59 s ago",
		"1 min ago",
		"2 h ago",
		"2 d ago",
	]);
});
