import { describe, expect, test } from "vitest";
import { beginning, countLines, findMatches, rowsOf } from "./lines";
import { segments } from "./segments";

function rows(text: string): string[] {
	const { starts } = rowsOf(text);
	return [...starts.slice(1)].map((end, row) => text.slice(starts[row], end));
}

describe("a long text", () => {
	test("is made of the rows it has, and put together they are the text", () => {
		expect(rows("a\n\nb\n")).toEqual(["a\n", "\n", "b\n"]);
		expect(rows("")).toEqual([""]);
		const text = `${"x".repeat(5_000)}\nend`;
		expect(rows(text).join("")).toBe(text);
		expect(rows(text)).toHaveLength(4);
	});

	test("is never cut within a letter", () => {
		const text = `${"x".repeat(1_999)}🦀${"y".repeat(10)}`;
		expect(rows(text)[1]).toBe(`🦀${"y".repeat(10)}`);
		expect(beginning("ab🦀", 1, 3)).toBe("ab");
	});

	test("says how many lines it has", () => {
		expect(["", "a", "a\n", "a\nb", "\n\n"].map(countLines)).toEqual([1, 1, 1, 2, 2]);
	});

	test("begins with as many lines as were asked for", () => {
		expect(beginning("a\nb\nc", 2, 100)).toBe("a\nb\n");
		expect(beginning("a\nb", 5, 100)).toBe("a\nb");
	});

	test("is searched for the very words, in any case", () => {
		expect(findMatches("A.b a.B axb", "a.b")).toEqual([0, 4]);
		expect(findMatches("abc", "")).toEqual([]);
	});
});

describe("a row", () => {
	const runs = [
		{ start: 2, end: 5, look: "red" },
		{ start: 7, end: 20, look: "bold" },
	];

	test("is cut where its look changes, also in the middle of a run", () => {
		expect(segments(0, 10, runs)).toEqual([
			{ start: 0, end: 2, look: "" },
			{ start: 2, end: 5, look: "red" },
			{ start: 5, end: 7, look: "" },
			{ start: 7, end: 10, look: "bold" },
		]);
		expect(segments(10, 22, runs)).toEqual([
			{ start: 10, end: 20, look: "bold" },
			{ start: 20, end: 22, look: "" },
		]);
	});

	test("shows a match across looks, and the one that the search stands at", () => {
		const matches = { starts: [1, 8], length: 3, current: 1 };
		expect(segments(0, 11, runs, matches)).toEqual([
			{ start: 0, end: 1, look: "" },
			{ start: 1, end: 2, look: "", match: "match" },
			{ start: 2, end: 4, look: "red", match: "match" },
			{ start: 4, end: 5, look: "red" },
			{ start: 5, end: 7, look: "" },
			{ start: 7, end: 8, look: "bold" },
			{ start: 8, end: 11, look: "bold", match: "current" },
		]);
	});
});
