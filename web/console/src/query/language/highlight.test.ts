import { describe, expect, test } from "vitest";
import { piecesOf } from "./highlight";

const kinds = (text: string) =>
	piecesOf(text)
		.filter(({ kind }) => kind !== "plain" && kind !== "mark")
		.map(({ text, kind }) => `${text} ${kind}`);

describe("pieces of a question", () => {
	test("are together the question, whatever was typed", () => {
		for (const text of [
			"",
			"spans",
			' count() \n where "a',
			"a \u0001 😀 [",
			"where where where",
		]) {
			expect(
				piecesOf(text, { start: 1, end: 3 })
					.map((piece) => piece.text)
					.join(""),
			).toBe(text);
		}
	});

	test("each has the colour of what it is", () => {
		expect(
			kinds('p95(span.duration) where op:db.query and "k" > 5ms by op per 1m limit 3'),
		).toEqual([
			"p95 function",
			"span.duration field",
			"where keyword",
			"op field",
			"db.query value",
			"and keyword",
			'"k" field',
			"5ms number",
			"by keyword",
			"op field",
			"per keyword",
			"1m number",
			"limit keyword",
			"3 number",
		]);
		expect(kinds("spans where by:limit order by x")).toEqual([
			"spans keyword",
			"where keyword",
			"by field",
			"limit value",
			"order keyword",
			"by keyword",
			"x field",
		]);
	});
});

describe("a mistake", () => {
	const marked = (text: string, start: number, end: number) =>
		piecesOf(text, { start, end })
			.filter(({ isMistake }) => isMistake)
			.map((piece) => piece.text)
			.join("");

	test("is marked where it is, over several pieces if need be", () => {
		expect(marked("count(spans) wher op:x", 13, 17)).toBe("wher");
		expect(marked("count(spans) wher op:x", 6, 17)).toBe("spans) wher");
	});

	test("at the end is marked under the last letter", () => {
		expect(marked("spans where", 11, 11)).toBe("e");
		expect(marked("", 0, 0)).toBe("");
	});
});
