import { describe, expect, test } from "vitest";
import type { View } from "../../charts/views";
import { parse, type Question } from "../language/parse";
import { extentQuestion, needsStretch, planFor, regionQuestion, stepFor, stretchOf } from "./plan";

const NOW = Date.parse("2026-01-31T10:00:00Z");
const HOUR = 3_600_000;

const read = (text: string): Question => {
	const question = parse(text);
	if (!question) throw new Error(text);
	return question;
};

const asked = (view: View, text: string) => planFor(view, read(text), NOW)?.text;

describe("what is asked for a view", () => {
	test("a table shows the answer to the question itself", () => {
		expect(asked("table", "spans where a:b limit 3")).toBe("spans where a:b limit 3");
	});

	test("a line needs times: stretches that people count in, and all rows", () => {
		expect(planFor("series", read("p95(span.duration) by op since 1h"), NOW)).toEqual({
			language: "query",
			text: "p95(span.duration) by op per 30s since 1h limit 10000",
			figures: 1,
			step: 30_000,
			stretch: { from: NOW - HOUR, to: NOW },
		});
	});

	test("a line of a question that says its times is of those", () => {
		expect(planFor("series", read("count() per 5m since 1h"), NOW)).toMatchObject({
			text: "count() per 5m since 1h",
			step: 300_000,
		});
	});

	test("a line of spans is of how many they are", () => {
		expect(asked("series", "spans where a:b order by duration desc limit 10 since 1h")).toBe(
			"count(spans) where a:b per 30s since 1h limit 10000",
		);
	});

	test("a single number is of all spans at once", () => {
		expect(asked("number", "avg(span.duration) where a:b by op per 1m order by op limit 5")).toBe(
			"avg(span.duration) where a:b",
		);
		expect(asked("number", "spans where a:b order by duration")).toBe("count(spans) where a:b");
	});

	test("a top list is of groups, whenever they were", () => {
		expect(asked("top", "count() by op per 1m order by time")).toBe("count() by op");
		expect(asked("top", "spans order by duration desc limit 10")).toBe(
			"spans order by duration desc limit 10",
		);
	});

	test("a heat map is made of buckets of times and durations", () => {
		const plan = planFor(
			"heat",
			read("avg(span.duration) where op:db.query by name since 1h"),
			NOW,
		);
		expect(plan).toMatchObject({ language: "sql", step: 60_000 });
		expect(plan?.text).toBe(
			"select date_bin(interval '60000 milliseconds', start) as time, cast(floor(log10(duration_ns) * 8) as bigint) as bucket, sum(weight) as spans from spans where duration_ns > 0 and start >= timestamp '2026-01-31T09:00:00.000Z' and op = 'db.query' and record is null group by 1, 2 order by 1, 2",
		);
	});

	test("what cannot be said in SQL has no heat map", () => {
		expect(asked("heat", "spans where duration>long since 1h")).toBeUndefined();
	});
});

describe("the time of a view", () => {
	test("is asked for where it is needed and the question does not say it", () => {
		expect(needsStretch("series", read("count()"))).toBe(true);
		expect(needsStretch("series", read("count() per 1m"))).toBe(false);
		expect(needsStretch("heat", read("count() per 1m"))).toBe(true);
		expect(needsStretch("heat", read("count() since 1h"))).toBe(false);
		expect(needsStretch("table", read("count()"))).toBe(false);
		expect(extentQuestion(read("spans where a:b order by duration limit 5"))).toBe(
			"min(start), max(start) where a:b",
		);
	});

	test("is what the question says, up to now where it says no end", () => {
		expect(stretchOf(read("spans since 1h"), NOW)).toEqual({ from: NOW - HOUR, to: NOW });
		expect(stretchOf(read("spans from 2026-01-31T09:00Z"), NOW)?.to).toBe(NOW);
		expect(stretchOf(read("spans"), NOW)).toBeUndefined();
	});

	test("is parted into at most so many buckets", () => {
		expect(stepFor({ from: 0, to: HOUR }, 120)).toBe(30_000);
		expect(stepFor({ from: 0, to: 0 }, 120)).toBe(10);
		const century = { from: 0, to: 36_500 * 24 * HOUR };
		expect((century.to - century.from) / stepFor(century, 120)).toBeLessThanOrEqual(120);
	});
});

test("a region of a heat map is a question for its spans", () => {
	const question = read("p95(span.duration) where a:b or c:d by op since 1h");
	const bounds = { from: NOW - 60_000, to: NOW, shortest: 1_334, longest: 10_000 };
	expect(regionQuestion(question, bounds)).toBe(
		"spans where (a:b or c:d) and duration>=1334ns and duration<10000ns from 2026-01-31T09:59:00.000Z to 2026-01-31T10:00:00.000Z order by duration desc",
	);
});
