import { describe, expect, test } from "vitest";
import { contextAt } from "./context";

/** What is expected at the bar. */
function at(marked: string) {
	const cursor = marked.indexOf("|");
	return contextAt(marked.replace("|", ""), cursor);
}

describe("what could stand at a place", () => {
	test.each([
		["|", { kind: "what" }],
		["cou|", { kind: "what" }],
		["count(spans), |", { kind: "what" }],
		["avg(|", { kind: "field", of: "figure" }],
		["avg(span.du|)", { kind: "field", of: "figure" }],
		["spans |", { kind: "clause", used: [], joins: false }],
		["count(spans) wh|", { kind: "clause", used: [], joins: false }],
		["spans where |", { kind: "field", of: "condition" }],
		["spans where o|", { kind: "field", of: "condition" }],
		["spans where not (o|", { kind: "field", of: "condition" }],
		["spans where a:b and |", { kind: "field", of: "condition" }],
		["spans where op:|", { kind: "value", field: "op" }],
		["spans where op!:d|", { kind: "value", field: "op" }],
		["spans where op:[a, |", { kind: "value", field: "op" }],
		['spans where "a key":"x|', { kind: "value", field: "a key" }],
		["spans where duration>|", { kind: "value", field: "duration" }],
		["spans where has:|", { kind: "field", of: "by" }],
		["spans where op:a |", { kind: "clause", used: ["where"], joins: true }],
		["spans where op:[a,b] |", { kind: "clause", used: ["where"], joins: true }],
		["spans where op |", { kind: "nothing" }],
		["count() by |", { kind: "field", of: "by" }],
		["count() by op, |", { kind: "field", of: "by" }],
		["count() by op |", { kind: "clause", used: ["by"], joins: false }],
		["count() per |", { kind: "length", of: "per" }],
		["count() per 1m since 1|", { kind: "length", of: "since" }],
		["spans order |", { kind: "word", words: ["by"], used: ["order"] }],
		["spans order by |", { kind: "field", of: "order" }],
		["spans order by duration |", { kind: "word", words: ["desc", "asc"], used: ["order"] }],
		["count() by op order by op, |", { kind: "field", of: "order" }],
		["spans from 2026-01-31 |", { kind: "word", words: ["to"], used: ["from"] }],
		["spans from 2026-01-31 to 2026-02-01 |", { kind: "clause", used: ["from"], joins: false }],
		["spans limit |", { kind: "nothing" }],
	])("%s", (marked, expected) => {
		expect(at(marked).expected).toEqual(expected);
	});

	test("a field or a value may be called as a clause is", () => {
		expect(at("spans where by:x |").expected).toMatchObject({ joins: true });
		expect(at("spans where a:limit |").expected).toMatchObject({ joins: true });
		expect(at("count() by order |").expected).toEqual({
			kind: "clause",
			used: ["by"],
			joins: false,
		});
	});
});

describe("what a choice replaces", () => {
	test("the whole word under the cursor, of which the part before it is typed", () => {
		expect(at("spans where op:db.per|sist by x")).toMatchObject({
			from: 15,
			to: 25,
			typed: "db.per",
		});
	});

	test("a quotation with its quotes, whether it ends or not", () => {
		expect(at('spans where name:"bro|')).toMatchObject({ from: 17, to: 21, typed: "bro" });
		expect(at('spans where name:"bro|ker" by x')).toMatchObject({ from: 17, to: 25, typed: "bro" });
	});

	test("nothing where the cursor stands free", () => {
		expect(at("spans where op:a |by x")).toMatchObject({ from: 17, to: 17, typed: "" });
	});
});
