import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { useState } from "react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Mistake } from "../asking/ask";
import { Editor } from "./Editor";

const ran = vi.fn();
const fetched = vi.fn<typeof fetch>();

beforeEach(() => {
	vi.stubGlobal("fetch", fetched);
	fetched.mockImplementation(async (input) => {
		const isValues = String(input).includes("count");
		const rows = isValues
			? [
					["db.persist.event", 1200],
					["db.query", 90],
				]
			: [["my.region", 3]];
		return Response.json({ columns: [], rows, more: false });
	});
});

afterEach(() => {
	vi.unstubAllGlobals();
	ran.mockReset();
	fetched.mockReset();
});

function Page({ start = "", mistake }: { start?: string; mistake?: Mistake }) {
	const [value, setValue] = useState(start);
	const [client] = useState(() => new QueryClient());
	return (
		<QueryClientProvider client={client}>
			<Editor
				label="Question"
				value={value}
				onChange={setValue}
				onRun={() => ran(value)}
				language="query"
				mistake={mistake}
				mistakeId="mistake"
			/>
		</QueryClientProvider>
	);
}

const field = () => screen.getByRole("textbox", { name: "Question" }) as HTMLTextAreaElement;
const offered = () => screen.queryAllByRole("option").map((option) => option.textContent);

/** Types at the cursor, as a keyboard would. */
function type(text: string) {
	const { value, selectionEnd } = field();
	const next = value.slice(0, selectionEnd) + text + value.slice(selectionEnd);
	field().focus();
	fireEvent.change(field(), { target: { value: next } });
	act(() => field().setSelectionRange(selectionEnd + text.length, selectionEnd + text.length));
	fireEvent.input(field());
}

const press = (key: string, more = {}) => fireEvent.keyDown(field(), { key, ...more });

/** What assistive technology is told is chosen. */
function chosen() {
	const id = field().getAttribute("aria-activedescendant");
	return id ? document.getElementById(id)?.textContent : undefined;
}

describe("completion by keyboard", () => {
	test("a word begun has its first offer chosen, and Enter takes it", () => {
		render(<Page />);
		type("coun");
		expect(chosen()).toContain("count");
		press("Enter");
		expect(field().value).toBe("count(spans)");
		expect(ran).not.toHaveBeenCalled();
		expect(offered()).toEqual([]);
	});

	test("arrows choose among what is offered, around its ends, and Tab takes it", () => {
		render(<Page />);
		type("p9");
		expect(chosen()).toContain("p95");
		press("ArrowDown");
		expect(chosen()).toContain("p90");
		press("ArrowUp");
		press("ArrowUp");
		expect(chosen()).toContain("p99");
		press("Tab");
		expect(field().value).toBe("p99(");
		// What belongs behind it is offered at once.
		expect(offered()[0]).toContain("op");
	});

	test("where nothing is typed yet Enter asks the question and Tab leaves the field", () => {
		render(<Page start="spans" />);
		act(() => field().setSelectionRange(5, 5));
		type(" ");
		expect(offered()[0]).toContain("where");
		expect(chosen()).toBeUndefined();
		expect(press("Tab")).toBe(true);
		press("Enter");
		expect(ran).toHaveBeenCalledWith("spans ");
		expect(offered()).toEqual([]);
	});

	test("Escape closes what is offered, and Ctrl and the space bar open it anywhere", () => {
		render(<Page />);
		type("sp");
		press("Escape");
		expect(offered()).toEqual([]);
		press(" ", { ctrlKey: true });
		expect(offered()[0]).toContain("spans");
	});

	test("values are those that the stored spans have", async () => {
		render(<Page start="spans where op" />);
		act(() => field().setSelectionRange(14, 14));
		type(":");
		await waitFor(() => expect(offered()).toEqual(["db.persist.event1,200", "db.query90"]));
		press("ArrowDown");
		press("Enter");
		expect(field().value).toBe("spans where op:db.persist.event");
		const asked = fetched.mock.calls.map(([input]) => decodeURIComponent(String(input)));
		expect(asked.some((url) => url.includes("count(spans)+by+op+since+1h+limit+50"))).toBe(true);
	});

	test("arrows lead to all that is offered, although ten are shown at a time", () => {
		render(<Page start="count(spans) by" />);
		act(() => field().setSelectionRange(15, 15));
		type(" ");
		expect(offered()).toHaveLength(10);
		for (let presses = 0; presses < 15; presses += 1) press("ArrowDown");
		expect(offered()).toHaveLength(10);
		const selected = screen.getByRole("option", { selected: true });
		expect(selected.id).toBe(field().getAttribute("aria-activedescendant"));
		expect(selected.getAttribute("aria-posinset")).toBe("15");
	});

	test("a choice replaces the whole word, and the rest stays", () => {
		render(<Page start="count(spans) by oper where a:b" />);
		act(() => field().setSelectionRange(18, 18));
		press(" ", { ctrlKey: true });
		expect(chosen()).toContain("op");
		press("Enter");
		expect(field().value).toBe("count(spans) by op where a:b");
	});
});

describe("asking", () => {
	test("Enter asks, with Ctrl or Cmd even while something is offered, and with Shift begins a line", () => {
		render(<Page />);
		type("spans");
		press("Enter", { ctrlKey: true });
		expect(ran).toHaveBeenCalledTimes(1);
		press("Enter", { metaKey: true });
		expect(ran).toHaveBeenCalledTimes(2);
		expect(press("Enter", { shiftKey: true })).toBe(true);
		expect(ran).toHaveBeenCalledTimes(2);
		press("Enter");
		expect(ran).toHaveBeenCalledTimes(3);
	});

	test("while a word is composed its keys are left alone", () => {
		render(<Page />);
		type("coun");
		press("Enter", { isComposing: true });
		expect(field().value).toBe("coun");
		expect(ran).not.toHaveBeenCalled();
	});
});

test("a mistake is underlined in its place, and the field says that it is wrong and why", () => {
	const mistake = { message: "no", place: { start: 0, end: 4 }, suggestion: "spans" };
	const { container } = render(<Page start="span where a:b" mistake={mistake} />);
	const marked = [...container.querySelectorAll("[data-mistake]")];
	expect(marked.map((piece) => piece.textContent)).toEqual(["span"]);
	expect(field().getAttribute("aria-invalid")).toBe("true");
	expect(field().getAttribute("aria-describedby")).toBe("mistake");
});
