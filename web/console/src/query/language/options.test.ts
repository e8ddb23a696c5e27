import { describe, expect, test } from "vitest";
import { contextAt } from "./context";
import { optionsFor, type Seen } from "./options";

const SEEN: Seen = {
	fields: ["http.route", "odd key", "my.region"],
	values: [
		{ value: "db.persist.event", count: 1200 },
		{ value: "db.query", count: 90 },
		{ value: "a value", count: 1 },
	],
};

function offered(marked: string, seen: Seen = SEEN) {
	const cursor = marked.indexOf("|");
	const text = marked.replace("|", "");
	const context = contextAt(text, cursor);
	return optionsFor(context, seen, text.slice(context.to));
}

const labels = (marked: string) => offered(marked).map(({ label }) => label);
const first = (marked: string) => offered(marked)[0];

describe("what is offered", () => {
	test("a question begins with spans or a function", () => {
		expect(labels("|").slice(0, 3)).toEqual(["spans", "count", "avg"]);
		expect(first("cou|")).toMatchObject({ label: "count", insert: "count(spans)" });
		expect(first("p9|")).toMatchObject({ insert: "p95(" });
	});

	test("a figure's field closes its parenthesis unless it is closed", () => {
		expect(first("avg(span.d|")?.insert).toBe("span.duration)");
		expect(first("avg(span.d|)")?.insert).toBe("span.duration");
	});

	test("a condition's field goes on with its test, and a length with a comparison", () => {
		expect(first("spans where o|")).toMatchObject({ insert: "op:", goesOn: true });
		expect(first("spans where dur|")?.insert).toBe("duration>");
		expect(first("spans where o|:x")?.insert).toBe("op");
		expect(labels("spans where has|")).toContain("has");
	});

	test("fields that were seen come behind those that everyone has, in quotes where they are odd", () => {
		expect(labels("spans where region|")).toEqual(["my.region"]);
		expect(first("spans where odd|")?.insert).toBe('"odd key":');
	});

	test("values are those that spans have, in quotes where they are odd", () => {
		expect(offered("spans where op:|").map(({ insert }) => insert)).toEqual([
			"db.persist.event",
			"db.query",
			'"a value"',
		]);
		expect(labels("spans where op:query|")).toEqual(["db.query"]);
	});

	test("values that everyone knows are offered where none were seen", () => {
		const seen = { fields: [], values: [{ value: "error", count: 3 }] };
		expect(offered("spans where status:|", seen).map(({ label }) => label)).toEqual([
			"error",
			"ok",
			"unset",
		]);
	});

	test("a clause is offered once, and one time is enough", () => {
		expect(labels("count() where a:b since 1h |")).toEqual(["by", "per", "order by", "limit"]);
		expect(labels("spans where a:b |").slice(0, 3)).toEqual(["and", "or", "by"]);
	});

	test("a condition may follow without and", () => {
		expect(labels("spans where a:b dur|")).toContain("duration");
	});

	test("what begins with the letters typed comes before what has them within", () => {
		expect(labels("count() by type|").slice(0, 2)).toEqual(["event.type", "error.type"]);
		expect(labels("count() by s|")[0]).toBe("status");
	});

	test("what is typed in full is not offered", () => {
		expect(labels("spans where op:db.query|")).toEqual([]);
		expect(labels("count() per 30s|")).toEqual([]);
	});
});
