import { describe, expect, test } from "vitest";
import { commandOf, KEYMAP, type KeyPress } from "./keys";

const press = (key: string, held: Partial<KeyPress> = {}): KeyPress => ({
	key,
	ctrlKey: false,
	metaKey: false,
	altKey: false,
	shiftKey: false,
	...held,
});

describe("the keyboard", () => {
	test("arrows move between rows while a row has the focus, and scroll the page elsewhere", () => {
		expect(commandOf(press("ArrowDown"), true)).toBe("down");
		expect(commandOf(press("ArrowDown"), false)).toBeNull();
		expect(commandOf(press("Enter"), true)).toBe("select");
		expect(commandOf(press("Enter"), false)).toBeNull();
	});

	test("search, errors, zoom and help work wherever the focus is", () => {
		expect(commandOf(press("/"), false)).toBe("search");
		expect(commandOf(press("e"), false)).toBe("nextError");
		expect(commandOf(press("?", { shiftKey: true }), false)).toBe("help");
		expect(commandOf(press("+", { shiftKey: true }), false)).toBe("zoomIn");
		expect(commandOf(press("0"), false)).toBe("zoomAll");
		expect(commandOf(press("c"), false)).toBe("critical");
	});

	test("capitals go the other way", () => {
		expect(commandOf(press("n"), false)).toBe("next");
		expect(commandOf(press("N", { shiftKey: true }), false)).toBe("previous");
	});

	test("Shift and arrows pan in time instead of moving between rows", () => {
		expect(commandOf(press("ArrowLeft", { shiftKey: true }), true)).toBe("panLeft");
		expect(commandOf(press("ArrowLeft"), true)).toBe("close");
	});

	test("what the browser does with Ctrl, Alt and Meta stays the browser's", () => {
		for (const held of ["ctrlKey", "metaKey", "altKey"] as const) {
			expect(commandOf(press("c", { [held]: true }), true)).toBeNull();
		}
	});

	test("no key has two meanings", () => {
		const keys = KEYMAP.flatMap(({ lines }) => lines.flatMap((line) => line.keys));
		expect(new Set(keys).size).toBe(keys.length);
	});
});
