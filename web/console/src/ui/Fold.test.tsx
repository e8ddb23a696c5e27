import { fireEvent, render, screen } from "@testing-library/react";
import { expect, test } from "vitest";
import { Fold } from "./Fold";
import { UiProvider } from "./UiProvider";

const lines = (count: number) => Array.from({ length: count }, (_, at) => `line ${at}`).join("\n");

function show(text: string) {
	return render(<Fold text={text} label="the output" />, { wrapper: UiProvider });
}

test("a short text is shown whole, with nothing to unfold", () => {
	const { container } = show(lines(12));
	expect(container.querySelector("pre")?.textContent).toBe(lines(12));
	expect(screen.queryByRole("button")).toBeNull();
});

test("of a long text the beginning is shown, and how much there is", () => {
	const { container } = show(lines(2_345));
	expect(container.querySelector("pre")?.textContent).toContain("line 11\n");
	expect(container.querySelector("pre")?.textContent).not.toContain("line 12");
	expect(screen.getByRole("button", { name: "Show all 2,345 lines" })).toBeTruthy();
});

test("of a text in one line its size is told", () => {
	show("x".repeat(10 * 1024 * 1024));
	expect(screen.getByRole("button", { name: /^Show all 10.MiB$/ })).toBeTruthy();
});

test("unfolded, it can be searched, and folded again", () => {
	show(lines(500));
	fireEvent.click(screen.getByRole("button", { name: /Show all/ }));
	const search = screen.getByRole("textbox", { name: "Search in the text" });
	fireEvent.change(search, { target: { value: "LINE 49" } });
	expect(screen.getByText("1 of 11")).toBeTruthy();
	fireEvent.keyDown(search, { key: "Enter", shiftKey: true });
	expect(screen.getByText("11 of 11")).toBeTruthy();
	fireEvent.change(search, { target: { value: "pigeon" } });
	expect(screen.getByText("Not found")).toBeTruthy();
	fireEvent.click(screen.getByRole("button", { name: "Fold" }));
	expect(screen.getByRole("button", { name: "Show all 500 lines" })).toBeTruthy();
});

test("a long text with colours is open at once, and whole a moment later", async () => {
	show(`${"\u001b[32mok\u001b[0m and more of it\n".repeat(40_000)}the end`);
	fireEvent.click(screen.getByRole("button", { name: /Show all/ }));
	expect(screen.getByText("Reading the rest…")).toBeTruthy();
	const search = screen.getByRole("textbox", { name: "Search in the text" });
	fireEvent.change(search, { target: { value: "the end" } });
	expect(screen.getByText("Not found")).toBeTruthy();
	expect(await screen.findByText("1 of 1")).toBeTruthy();
	expect(screen.queryByText("Reading the rest…")).toBeNull();
});

test("markup in a text stays text", () => {
	const { container } = show('<img src="x" onerror="alert(1)">');
	expect(container.querySelector("img")).toBeNull();
	expect(container.querySelector("pre")?.textContent).toBe('<img src="x" onerror="alert(1)">');
});
