import { describe, expect, test } from "vitest";
import { inQuotes, isWord, tokensOf, writtenField, writtenValue } from "./tokens";

const texts = (question: string) => tokensOf(question).map((token) => token.text);

describe("taking a question apart", () => {
	test("words, quotations, marks and times are told apart", () => {
		expect(texts('p95(span.duration) where a!:"b c" and n>=5 from 2026-01-31T09:00Z')).toEqual([
			"p95",
			"(",
			"span.duration",
			")",
			"where",
			"a",
			"!",
			":",
			'"b c"',
			"and",
			"n",
			">=",
			"5",
			"from",
			"2026-01-31T09:00Z",
		]);
	});

	test("every token stands where it says, and only blanks lie between", () => {
		const question = 'spans\n where name:"a \\"quoted\\" name"  \tor x:[1,2*] limit 5';
		let end = 0;
		for (const token of tokensOf(question)) {
			expect(question.slice(token.start, token.end)).toBe(token.text);
			expect(question.slice(end, token.start)).toMatch(/^\s*$/);
			end = token.end;
		}
		expect(end).toBe(question.length);
	});

	test("a quotation says what is in it without the backslashes that kept quotes", () => {
		const [token] = tokensOf('"a \\"b\\" \\\\ \\*c"');
		expect(token).toMatchObject({ kind: "quoted", value: 'a "b" \\ \\*c', closed: true });
	});

	test("a quotation that does not end goes to the end of the question", () => {
		expect(tokensOf('a:"b c').at(-1)).toMatchObject({ text: '"b c', value: "b c", closed: false });
	});

	test("what has no meaning is a token of its own and stops nothing", () => {
		expect(tokensOf("a \u0001 b").map((token) => token.kind)).toEqual(["word", "unknown", "word"]);
	});
});

describe("writing names and values", () => {
	test("plain ones stand bare and odd ones in quotes", () => {
		expect(writtenField("event.projectId")).toBe("event.projectId");
		expect(writtenField("a key")).toBe('"a key"');
		expect(writtenValue("db.query")).toBe("db.query");
		expect(writtenValue('say "hi"')).toBe('"say \\"hi\\""');
		expect(writtenValue("/api/projects/{id}/build")).toBe("/api/projects/{id}/build");
		expect(writtenValue("")).toBe('""');
	});

	test("a star in a value is a star and not any text", () => {
		expect(writtenValue("a*b")).toBe("a\\*b");
		expect(writtenValue("a * b")).toBe('"a \\* b"');
	});

	test("what was put in quotes is read as it was", () => {
		for (const text of ['"', "\\", '\\"', "a b", ""]) {
			expect(tokensOf(inQuotes(text))).toMatchObject([{ value: text }]);
		}
	});

	test("words have no blanks and no marks", () => {
		expect(["a", "a.b-c/d", "2026-01-31T09:30Z"].every(isWord)).toBe(true);
		expect(["a b", "a:b", "", '"'].some(isWord)).toBe(false);
	});
});
