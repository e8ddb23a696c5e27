import { fireEvent, render, screen } from "@testing-library/react";
import { useState } from "react";
import { expect, test, vi } from "vitest";
import { Legend } from "./Legend";
import type { Series } from "./series";

const SERIES: Series = {
	times: [0, 1],
	lines: [
		{ name: "db.query", unit: "plain", hue: 0, values: [1, 5] },
		{ name: "<b>bold</b>", unit: "nanoseconds", hue: 1, values: [2e6, null] },
	],
	left: 3,
};

const lit = vi.fn();

function Page() {
	const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
	return <Legend series={SERIES} hidden={hidden} onHide={setHidden} onLight={lit} />;
}

test("each line is a switch that says its name, its last value and whether it is drawn", () => {
	render(<Page />);
	const line = screen.getByRole("button", { name: "db.query 5" });
	expect(line.getAttribute("aria-pressed")).toBe("true");
	fireEvent.click(line);
	expect(line.getAttribute("aria-pressed")).toBe("false");
	fireEvent.click(screen.getByRole("button", { name: "Show all" }));
	expect(line.getAttribute("aria-pressed")).toBe("true");
});

test("a line is lit while its switch has the focus", () => {
	render(<Page />);
	const line = screen.getByRole("button", { name: /^<b>bold<\/b>/ });
	fireEvent.focus(line);
	expect(lit).toHaveBeenLastCalledWith("<b>bold</b>");
	fireEvent.blur(line);
	expect(lit).toHaveBeenLastCalledWith(undefined);
});

test("groups without a line are counted", () => {
	render(<Page />);
	expect(screen.getByText(/3 smaller groups/)).toBeDefined();
});
