import { describe, expect, test } from "vitest";
import { type Condition, parse } from "./parse";

/** What a condition says, in one way of writing it. */
function told(condition: Condition): string {
	switch (condition.kind) {
		case "all":
			return `(${condition.of.map(told).join(" & ")})`;
		case "any":
			return `(${condition.of.map(told).join(" | ")})`;
		case "not":
			return `!${told(condition.of)}`;
		case "is":
			return `${condition.field}=${condition.patterns.join(",")}`;
		case "compare":
			return `${condition.field}${condition.comparison}${condition.amount}`;
		case "has":
			return `has ${condition.field}`;
	}
}

const condition = (text: string) => {
	const read = parse(`spans where ${text}`)?.condition;
	return read && told(read);
};

describe("reading conditions", () => {
	test.each([
		["a:b", "a=b"],
		["a:b c:d", "(a=b & c=d)"],
		["a:b and c:d or e:f", "((a=b & c=d) | e=f)"],
		["a:b and (c:d or e:f)", "(a=b & (c=d | e=f))"],
		["not a:b or !c:d", "(!a=b | !c=d)"],
		["a!:b", "!a=b"],
		["not (a:b c:d)", "!(a=b & c=d)"],
		['a:[b, "c d",e*]', "a=b,c d,e*"],
		["has:event.projectId and !has:x", "(has event.projectId & !has x)"],
		['"a key":"a \\"value\\""', 'a key=a "value"'],
		["duration>500ms", "duration>500ms"],
		["span.duration:>=2.5s", "span.duration>=2.5s"],
		["a = b", "a=b"],
		["AND:b", "AND=b"],
		["by:x order:y", "(by=x & order=y)"],
	])("%s", (text, said) => {
		expect(condition(text)).toBe(said);
	});
});

describe("reading clauses", () => {
	test("the questions that the language began with are understood", () => {
		for (const text of [
			'avg(span.duration) where op:"db.persist.event"',
			'sum(span.duration) where op:"broker.event.forward"',
			'spans where op:"db.persist.event" order by duration desc limit 10',
			'spans where name:"broker.forwardEvent.*" and status:"error"',
			'count(spans) where name:"broker.forwardEvent.*" and status:"error"',
			'avg(transaction.duration) where name:"handleCommand.*"',
		]) {
			expect(parse(text)?.text, text).toBe(text);
		}
	});

	test("every clause is read in any order, and stands where it says", () => {
		const text =
			'count(), p95(span.duration) limit 5 where op:db.query by op, "odd key" per 5m since 1.5h order by p95(span.duration) desc, op asc';
		const question = parse(text);
		expect(question).toMatchObject({
			figures: [
				{ function: "count", field: undefined, text: "count()" },
				{ function: "p95", field: "span.duration", text: "p95(span.duration)" },
			],
			conditionText: "op:db.query",
			by: ["op", "odd key"],
			per: "5m",
			since: "1.5h",
			limit: "5",
		});
		const written = question?.clauses.map(({ start, end }) => text.slice(start, end));
		expect(written).toEqual([
			"limit 5",
			"where op:db.query",
			'by op, "odd key"',
			"per 5m",
			"since 1.5h",
			"order by p95(span.duration) desc, op asc",
		]);
	});

	test("a stretch of time is read with its end and without", () => {
		expect(parse("spans from 2026-01-31T09:30Z to 2026-02-01")).toMatchObject({
			from: "2026-01-31T09:30Z",
			to: "2026-02-01",
		});
		expect(parse("spans from 2026-01-31")).toMatchObject({ from: "2026-01-31", to: undefined });
	});

	test("what the server would not understand is not understood", () => {
		for (const text of [
			"",
			"avrg(span.duration)",
			"avg(span.duration",
			"count(spans) wher op:x",
			"spans where",
			"spans where op",
			"spans where op:",
			"spans where (op:x",
			"spans where op:x)",
			'spans where a:"b',
			"spans order duration",
			`spans where ${"(".repeat(1000)}a:b${")".repeat(1000)}`,
		]) {
			expect(parse(text), text).toBeUndefined();
		}
	});
});
