import { act, fireEvent, render, screen, within } from "@testing-library/react";
import { useState } from "react";
import { describe, expect, test, vi } from "vitest";
import { UiProvider } from "../../ui";
import { generateOutline } from "../fixtures/generate";
import { withLayout } from "../fixtures/layout";
import { outlineOf, type SpanLine } from "../fixtures/outline";
import { TraceModel } from "../model/model";
import { Waterfall, type WaterfallProps } from "./Waterfall";

withLayout();

const events = (count: number): SpanLine[] =>
	Array.from({ length: count }, (_, at) => ({
		id: `event${at}`,
		parent: "build",
		name: "sendEvent",
		op: "runner.event.send",
		service: "runner",
		start: 300 + at,
		duration: 1,
		...(at === 5 ? { status: 2 as const } : {}),
	}));

const build = (count = 20, more: SpanLine[] = []) =>
	new TraceModel(
		outlineOf([
			{ id: "request", name: "POST /build", op: "http.server", start: 0, duration: 100 },
			{
				id: "build",
				parent: "request",
				name: "runner.build",
				op: "build",
				start: 200,
				duration: 800,
			},
			{
				id: "read",
				parent: "build",
				name: "runner.tool.Read",
				op: "tool",
				start: 250,
				duration: 9,
			},
			...events(count),
			{
				id: "bash",
				parent: "build",
				name: "runner.tool.Bash",
				op: "tool",
				start: 900,
				duration: 9,
			},
			...more,
		]),
	);

function Selecting(props: Partial<WaterfallProps> & { model: TraceModel }) {
	const [selected, setSelected] = useState<string | null>(props.selected ?? null);
	return (
		<UiProvider>
			<Waterfall {...props} selected={props.selected ?? selected} onSelect={setSelected} />
		</UiProvider>
	);
}

const show = (model: TraceModel, props: Partial<WaterfallProps> = {}) =>
	render(<Selecting model={model} {...props} />);

const rows = () => screen.getAllByRole("row");
const row = (name: string) => {
	const found = rows().find((row) => row.textContent?.includes(name));
	if (!found) throw new Error(`no row has ${name}`);
	return found;
};
const focusedName = () => document.activeElement?.querySelector("bdi")?.textContent;
const press = (key: string, more: Partial<KeyboardEventInit> = {}) =>
	fireEvent.keyDown(document.activeElement ?? document.body, { key, ...more });
const focus = (name: string) => act(() => row(name).focus());

describe("a waterfall's rows", () => {
	test("are a tree that says its levels, what is open, and how many rows there are", () => {
		show(build());
		expect(screen.getByRole("treegrid").getAttribute("aria-rowcount")).toBe("5");
		expect(row("runner.build").getAttribute("aria-level")).toBe("2");
		expect(row("runner.build").getAttribute("aria-expanded")).toBe("true");
		expect(row("× 20").getAttribute("aria-expanded")).toBe("false");
		expect(row("runner.tool.Read").hasAttribute("aria-expanded")).toBe(false);
		expect(
			within(row("runner.tool.Read")).getByLabelText(/took 9\sns, starts at 250\sns/),
		).toBeTruthy();
	});

	test("show names as text, whatever is in them", () => {
		const name = `<img src=x onerror="alert(1)">${"x".repeat(5_000_000)}`;
		show(new TraceModel(outlineOf([{ id: "a", name, start: 0, duration: 1 }])));
		expect(rows()[0]?.textContent).toContain('<img src=x onerror="alert(1)">xxx');
		expect(rows()[0]?.textContent?.length).toBeLessThan(400);
		expect(document.querySelector("img")).toBeNull();
	});

	test("mark orphans, circles, corrected clocks and errors in words", () => {
		const lines: SpanLine[] = [
			{ id: "lost", parent: "nobody", start: 0, duration: 1 },
			{ id: "self", parent: "self", start: 1, duration: 1 },
			{ id: "skewed", start: 2, duration: 1, flags: 16 },
			{ id: "failed", start: 3, duration: 1, status: 2 },
		];
		show(new TraceModel(outlineOf(lines)));
		expect(row("lost").textContent).toContain("parent missing");
		expect(row("self").textContent).toContain("parents in a circle");
		expect(row("skewed").textContent).toContain("Clock corrected");
		expect(row("failed").textContent).toContain("Error");
	});

	test("are only there while in view", () => {
		show(new TraceModel(generateOutline({ spans: 20_000 })));
		fireEvent.click(screen.getByRole("button", { name: "Open all" }));
		const count = Number(screen.getByRole("treegrid").getAttribute("aria-rowcount"));
		expect(count).toBeGreaterThan(5_000);
		expect(rows().length).toBeLessThan(60);
	});
});

describe("a waterfall's keys", () => {
	test("arrows move the focus, Home and End to the ends", () => {
		show(build());
		focus("POST /build");
		press("ArrowDown");
		expect(focusedName()).toBe("runner.build");
		press("End");
		expect(focusedName()).toBe("runner.tool.Bash");
		press("ArrowUp");
		expect(focusedName()).toBe("sendEvent");
		press("Home");
		expect(focusedName()).toBe("POST /build");
		expect(rows().filter((row) => row.tabIndex === 0)).toHaveLength(1);
	});

	test("Left closes, then goes to the parent; Right opens, then goes to the first child", () => {
		show(build());
		focus("runner.build");
		press("ArrowLeft");
		expect(row("runner.build").getAttribute("aria-expanded")).toBe("false");
		expect(row("runner.build").textContent).toContain("+22");
		press("ArrowRight");
		press("ArrowRight");
		expect(focusedName()).toBe("runner.tool.Read");
		press("ArrowLeft");
		expect(focusedName()).toBe("runner.build");
	});

	test("Enter opens a run, and selects a span", () => {
		show(build());
		focus("× 20");
		press("Enter");
		expect(rows().length).toBeGreaterThan(20);
		focus("runner.tool.Read");
		press("Enter");
		expect(row("runner.tool.Read").getAttribute("aria-selected")).toBe("true");
		press("ArrowUp");
		expect(row("runner.build").getAttribute("aria-selected")).toBe("true");
		press("Escape");
		expect(row("runner.build").getAttribute("aria-selected")).toBe("false");
	});

	test("e goes to the next error, and opens what hides it", () => {
		show(build());
		focus("POST /build");
		press("e");
		expect(document.activeElement?.getAttribute("data-error")).toBe("true");
		expect(focusedName()).toBe("sendEvent");
		expect(row("× 20").getAttribute("aria-expanded")).toBe("true");
	});

	test("/ goes to the search, Enter there to the next match, n on from there", () => {
		show(build());
		focus("POST /build");
		press("/");
		const field = screen.getByLabelText("Search spans");
		expect(document.activeElement).toBe(field);
		fireEvent.change(field, { target: { value: "tool" } });
		expect(screen.getByRole("status").textContent).toBe("2 found");
		press("Enter");
		expect(row("runner.tool.Read").dataset.found).toBe("current");
		expect(row("runner.tool.Bash").dataset.found).toBe("yes");
		focus("runner.tool.Read");
		press("n");
		expect(focusedName()).toBe("runner.tool.Bash");
		expect(screen.getByText(/2 of 2/)).toBeTruthy();
		press("N");
		expect(focusedName()).toBe("runner.tool.Read");
	});

	test("+ and - zoom, 0 shows all, Shift with arrows pans, z zooms to the row", () => {
		show(
			new TraceModel(
				outlineOf([
					{ id: "all", start: 0, duration: 1000e6 },
					{ id: "part", parent: "all", start: 500e6, duration: 100e6 },
				]),
			),
		);
		focus("all");
		const view = () => {
			const says = screen.getByRole("img").getAttribute("aria-label")?.replaceAll("\u00a0", " ");
			return says?.split("in view from ")[1];
		};
		expect(view()).toBe("0 ms to 1 s");
		press("+");
		expect(view()).toBe("200 ms to 800 ms");
		press("ArrowRight", { shiftKey: true });
		expect(view()).toBe("320 ms to 920 ms");
		press("-");
		press("0");
		expect(view()).toBe("0 ms to 1 s");
		focus("part");
		press("z");
		expect(view()).toBe("492 ms to 608 ms");
	});

	test("c tells the critical path, ? all keys", () => {
		show(build());
		focus("POST /build");
		press("c");
		expect(screen.getByText(/Critical path/, { selector: "strong" })).toBeTruthy();
		press("?");
		expect(screen.getByRole("dialog").textContent).toContain("Next error");
	});

	test("keys pressed elsewhere on the page are not taken, unless the page is the waterfall's", () => {
		const { rerender } = show(build());
		fireEvent.keyDown(document.body, { key: "c" });
		expect(screen.queryByText(/Critical path/, { selector: "strong" })).toBeNull();
		rerender(<Selecting model={build()} pageKeys />);
		fireEvent.keyDown(document.body, { key: "c" });
		expect(screen.getByText(/Critical path/, { selector: "strong" })).toBeTruthy();
	});
});

describe("a waterfall beside other things", () => {
	test("a span selected from outside is opened up and made the active row", () => {
		show(build(), { selected: "event7" });
		const selected = rows().filter((row) => row.getAttribute("aria-selected") === "true");
		expect(selected).toHaveLength(1);
		expect(selected[0]?.tabIndex).toBe(0);
	});

	test("a span that comes later than the link to it is shown when it comes", () => {
		const { rerender } = show(build(), { selected: "late" });
		expect(rows().some((row) => row.getAttribute("aria-selected") === "true")).toBe(false);
		const grown = build(20, [
			{ id: "late", parent: "bash", name: "late", start: 950, duration: 1 },
		]);
		rerender(<Selecting model={grown} selected="late" />);
		expect(row("late").getAttribute("aria-selected")).toBe("true");
	});

	test("spans to light up light the rows that stand for them, and the others step back", () => {
		show(build(), { highlighted: new Set(["event7", "read"]) });
		expect(row("× 20").dataset.lit).toBe("true");
		expect(row("runner.tool.Read").dataset.lit).toBe("true");
		expect(row("runner.tool.Bash").dataset.faint).toBe("true");
	});

	test("says which span the pointer is on", () => {
		const onHover = vi.fn();
		show(build(), { onHover });
		fireEvent.mouseOver(row("runner.tool.Read"));
		expect(onHover).toHaveBeenLastCalledWith("read");
		fireEvent.mouseLeave(screen.getByRole("treegrid"));
		expect(onHover).toHaveBeenLastCalledWith(null);
	});

	test("the errors' filter leaves errors and what is above them", () => {
		show(build());
		fireEvent.click(screen.getByRole("button", { name: /Errors/ }));
		expect(rows().map((row) => row.querySelector("bdi")?.textContent)).toEqual([
			"POST /build",
			"runner.build",
			"sendEvent",
		]);
		expect(screen.getByText(/1 of 24 spans/)).toBeTruthy();
	});
});

describe("a trace that grows", () => {
	test("keeps the focus, what is open and what is selected", () => {
		const { rerender } = show(build());
		focus("× 20");
		press("Enter");
		focus("runner.tool.Bash");
		press("Enter");
		const focused = document.activeElement;
		rerender(<Selecting model={build(30)} />);
		expect(document.activeElement).toBe(focused);
		expect(focusedName()).toBe("runner.tool.Bash");
		expect(row("× 30").getAttribute("aria-expanded")).toBe("true");
		expect(row("runner.tool.Bash").getAttribute("aria-selected")).toBe("true");
	});

	test("unfinished spans reach to now, and say that they run", () => {
		vi.useFakeTimers();
		let now = 10e9;
		const outline = outlineOf([{ id: "a", name: "running", start: 0, duration: 0, flags: 1 }]);
		show(new TraceModel(outline, () => now));
		act(() => vi.advanceTimersByTime(10));
		expect(within(row("running")).getByLabelText(/running for 10\ss/)).toBeTruthy();
		now = 12e9;
		act(() => vi.advanceTimersByTime(300));
		expect(within(row("running")).getByLabelText(/running for 12\ss/)).toBeTruthy();
		vi.useRealTimers();
	});
});
