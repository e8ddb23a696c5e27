import { expect, test } from "vitest";
import { placeOfByte } from "./places";

test("a place in bytes is found in a text with letters of any length", () => {
	const text = "aé€😀b";
	expect([0, 1, 3, 6, 10, 11, 99].map((bytes) => placeOfByte(text, bytes))).toEqual([
		0, 1, 2, 3, 5, 6, 6,
	]);
});
