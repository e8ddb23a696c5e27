import { fireEvent, render, screen, within } from "@testing-library/react";
import { beforeEach, expect, test, vi } from "vitest";
import { AnswerTable } from "./AnswerTable";
import type { Answer } from "./answer";

const ANSWER: Answer = {
	columns: [
		{ name: "name", unit: "plain" },
		{ name: "duration", unit: "nanoseconds" },
	],
	rows: [
		["b", 2e6],
		["<img src=x onerror=alert(1)>", 1e6],
		["c", 3e6],
	],
	more: false,
};

beforeEach(() => {
	// The virtualiser draws what fits; nothing is laid out here.
	vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(600);
	vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(800);
});

const names = () =>
	screen
		.getAllByRole("row")
		.slice(1)
		.map((row) => within(row).getAllByRole("cell")[0]?.textContent);

test("a press on a column's name sorts by it, and says which way", () => {
	render(<AnswerTable answer={ANSWER} label="Spans" />);
	expect(names()).toEqual(["b", "<img src=x onerror=alert(1)>", "c"]);
	fireEvent.click(screen.getByRole("button", { name: "duration" }));
	expect(names()).toEqual(["c", "b", "<img src=x onerror=alert(1)>"]);
	const [, head] = screen.getAllByRole("columnheader");
	expect(head?.getAttribute("aria-sort")).toBe("descending");
	fireEvent.click(screen.getByRole("button", { name: "duration" }));
	expect(head?.getAttribute("aria-sort")).toBe("ascending");
});

test("markup in a name is text", () => {
	const { container } = render(<AnswerTable answer={ANSWER} label="Spans" />);
	expect(container.querySelector("img")).toBeNull();
});

test("the number of rows is told, although not all are drawn", () => {
	const rows = Array.from({ length: 5_000 }, (_, at) => [`span ${at}`, at]);
	render(<AnswerTable answer={{ ...ANSWER, rows }} label="Spans" />);
	expect(screen.getByRole("table").getAttribute("aria-rowcount")).toBe("5001");
	expect(names().length).toBeGreaterThan(20);
	expect(names().length).toBeLessThan(100);
});
