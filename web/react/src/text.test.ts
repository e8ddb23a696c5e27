import { expect, test } from "vitest";
import { appended, newText, piecesOf } from "./text.js";

const empty = newText({ id: "t", kind: "text", timestamp: "" }, "");

test("a text is the same whether it came at once or bit by bit, and so are its pieces", () => {
	const lines = Array.from({ length: 3_000 }, (_, line) => `line ${line}\n`).join("");
	const odd = `${lines}${"words ".repeat(9_000)}${"x".repeat(40_000)}\n${"😀".repeat(10_000)}`;
	let text = empty;
	for (let at = 0; at < odd.length; at += 7) text = appended(text, odd.slice(at, at + 7));
	expect(text.text).toBe(odd);
	expect(text.length).toBe(odd.length);
	expect(text.pieces).toEqual(piecesOf(odd));
});

test("pieces end with a line where they can, and none is long or cuts a character in two", () => {
	const pieces = piecesOf(`${"short\n".repeat(2_000)}${"😀".repeat(20_000)}`);
	expect(pieces[0]).toMatch(/short\n$/);
	expect(piecesOf("word ".repeat(5_000))[0]).toMatch(/word $/);
	for (const piece of pieces) {
		expect(piece.length).toBeLessThanOrEqual(16_384);
		expect(() => encodeURIComponent(piece)).not.toThrow();
	}
});

test("appending leaves all pieces but the last as they were", () => {
	const before = appended(empty, "line\n".repeat(5_000));
	const after = appended(before, "more");
	expect(after.pieces.slice(0, -1)).toEqual(before.pieces.slice(0, -1));
	expect(before.text).toBe("line\n".repeat(5_000));
});

test("a text is written as the server writes it", () => {
	const text = appended(appended(empty, "a"), "b");
	expect(JSON.parse(JSON.stringify(text))).toEqual({
		id: "t",
		kind: "text",
		text: "ab",
		timestamp: "",
	});
});
