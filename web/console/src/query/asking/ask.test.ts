import { expect, test } from "vitest";
import { ApiError } from "../../api/client";
import { languageOf, mistakeOf } from "./ask";

const refused = (body: object) => new ApiError(400, "bad_query", "no", undefined, body);

test("SQL is told by its first word", () => {
	expect(["select 1", " WITH a as (select 1) select * from a"].map(languageOf)).toEqual([
		"sql",
		"sql",
	]);
	expect(["spans", "", "selection(x)"].map(languageOf)).toEqual(["query", "query", "query"]);
});

test("a mistake's place is in letters, however many bytes they have", () => {
	const mistake = mistakeOf(
		refused({ start: 15, end: 19, suggestion: "where" }),
		"count() é😀 wher",
	);
	expect(mistake).toEqual({
		message: "no",
		place: { start: 12, end: 16 },
		suggestion: "where",
	});
});

test("what shows how it is written is not offered as what to write", () => {
	const error = refused({ start: 6, end: 8, suggestion: "count(spans) … by …" });
	expect(mistakeOf(error, "spans by op")?.suggestion).toBeUndefined();
});

test("of SQL as a whole no place is marked", () => {
	expect(mistakeOf(refused({ start: 0, end: 8 }), "select x")?.place).toBeUndefined();
});

test("other errors are no mistakes of the question", () => {
	expect(mistakeOf(new ApiError(422, "too_long", "no"), "spans")).toBeUndefined();
	expect(mistakeOf(undefined, "spans")).toBeUndefined();
});
