import { describe, expect, test } from "vitest";
import { timeOf, withClause, withCondition, withTime, withWhat } from "./clauses";
import { parse, type Question } from "./parse";

const read = (text: string): Question => {
	const question = parse(text);
	if (!question) throw new Error(text);
	return question;
};

describe("a question's time", () => {
	test("is written behind what is asked for and its conditions", () => {
		const range = { kind: "since", length: "1h" } as const;
		expect(withTime(read("spans"), range).text).toBe("spans since 1h");
		expect(withTime(read("spans where a:b limit 5"), range).text).toBe(
			"spans where a:b since 1h limit 5",
		);
		expect(withTime(read("count()\n by op\n limit 5"), range).text).toBe(
			"count()\n by op since 1h\n limit 5",
		);
	});

	test("is replaced where it stands, whichever way it was written", () => {
		const between = { kind: "between", from: "2026-01-31", to: "2026-02-01" } as const;
		const question = withTime(read("count() since 1h by op"), between);
		expect(question.text).toBe("count() by op from 2026-01-31 to 2026-02-01");
		expect(withTime(question, { kind: "since", length: "5m" }).text).toBe("count() by op since 5m");
	});

	test("is taken out and nothing else changes", () => {
		expect(withTime(read("count() since 1h by op"), { kind: "all" }).text).toBe("count() by op");
		expect(withTime(read("count() since 1h"), { kind: "all" }).text).toBe("count()");
	});

	test("is read as it was written", () => {
		expect(timeOf(read("spans since 90m"))).toEqual({ kind: "since", length: "90m" });
		expect(timeOf(read("spans from 2026-01-31"))).toEqual({
			kind: "between",
			from: "2026-01-31",
			to: undefined,
		});
		expect(timeOf(read("spans"))).toEqual({ kind: "all" });
	});
});

describe("other clauses", () => {
	test("a condition is added to those that are there", () => {
		expect(withCondition(read("spans"), "a:b").text).toBe("spans where a:b");
		expect(withCondition(read("spans where x:y"), "a:b").text).toBe("spans where x:y and a:b");
		expect(withCondition(read("spans where x:y or z:w limit 3"), "a:b").text).toBe(
			"spans where (x:y or z:w) and a:b limit 3",
		);
	});

	test("something else is asked of the same spans", () => {
		const question = read("avg(span.duration), p95(span.duration) where a:b");
		expect(withWhat(question, "count(spans)").text).toBe("count(spans) where a:b");
	});

	test("a clause that is not there can be taken out", () => {
		expect(withClause(read("spans limit 5"), "per", undefined).text).toBe("spans limit 5");
	});
});
