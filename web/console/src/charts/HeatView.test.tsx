import { fireEvent, render, screen } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import type { Answer } from "./answer";
import { HeatView } from "./HeatView";

const START = Date.UTC(2026, 0, 31, 9);
const STEP = 60_000;

const ANSWER: Answer = {
	columns: [
		{ name: "time", unit: "time" },
		{ name: "bucket", unit: "plain" },
		{ name: "spans", unit: "plain" },
	],
	rows: [
		[new Date(START).toISOString(), 24, 5],
		[new Date(START + STEP).toISOString(), 25, 9],
	],
	more: false,
};

const map = () => screen.getByRole("application");
const press = (key: string, shiftKey = false) => fireEvent.keyDown(map(), { key, shiftKey });

test("a region is selected by keys: from the fullest cell, over others, and its spans are asked for", () => {
	const onRegion = vi.fn();
	render(<HeatView answer={ANSWER} step={STEP} onRegion={onRegion} />);
	press("ArrowUp");
	press("ArrowLeft", true);
	press("ArrowDown", true);
	expect(onRegion).not.toHaveBeenCalled();
	press("Enter");
	expect(onRegion).toHaveBeenCalledWith({
		from: START,
		to: START + 2 * STEP,
		shortest: 1_000,
		longest: 1_779,
	});
});

test("where keys have led is said, with how many spans are there", () => {
	render(<HeatView answer={ANSWER} step={STEP} onRegion={() => undefined} />);
	press("ArrowUp");
	expect(screen.getAllByText(/^9 spans of 1\.33.µs – 1\.78.µs/).length).toBeGreaterThan(0);
});

test("Escape gives the region up", () => {
	const onRegion = vi.fn();
	render(<HeatView answer={ANSWER} step={STEP} onRegion={onRegion} />);
	press("ArrowUp");
	press("Enter");
	press("Escape");
	expect(onRegion).toHaveBeenLastCalledWith(undefined);
});

test("the map says in words what it shows, and can be read as a table", () => {
	render(<HeatView answer={ANSWER} step={STEP} />);
	expect(map().getAttribute("aria-label")).toMatch(/Durations of 14 spans.*Most in one cell: 9/);
	fireEvent.click(screen.getByRole("button", { name: "As a table" }));
	expect(screen.getByRole("table")).toBeDefined();
});
