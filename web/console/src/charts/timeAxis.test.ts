import { expect, test } from "vitest";
import { timeLabels, timeMarks } from "./timeAxis";

const at = (...parts: [number, number, number, number?, number?, number?]) => {
	const [year, month, day, hour = 0, minute = 0, second = 0] = parts;
	return new Date(year, month - 1, day, hour, minute, second).getTime();
};

test("marks say as much of a time as tells them apart", () => {
	const times = [at(2026, 1, 31, 9, 5), at(2026, 1, 31, 9, 6)];
	expect(timeLabels(times, 60_000)).toEqual(["09:05", "09:06"]);
	expect(timeLabels(times, 30_000)).toEqual(["09:05:00", "09:06:00"]);
	expect(timeLabels(times, 86_400_000)).toEqual(["31 Jan", "31 Jan"]);
});

test("the first mark of another day says the day", () => {
	const times = [at(2026, 1, 31, 12), at(2026, 2, 1), at(2026, 2, 1, 12)];
	expect(timeLabels(times, 43_200_000)).toEqual(["12:00", "1 Feb", "12:00"]);
});

test("marks stand at times that people count in, and not too many", () => {
	const marks = timeMarks(at(2026, 1, 31, 9, 2), at(2026, 1, 31, 9, 58), 6);
	expect(marks.map(({ label }) => label)).toEqual(["09:10", "09:20", "09:30", "09:40", "09:50"]);
});
