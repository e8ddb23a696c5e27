/** Explore: a question becomes a table, a chart, a heat map; a mistake is marked where it stands; SQL is asked as well. */
import type { Page } from "playwright-core";
import { vi } from "vitest";
import { expectSearch } from "./harness/look.ts";
import { makeTrace } from "./harness/spans.ts";
import { expect, test } from "./harness/test.ts";

const SHOP = {
	name: "order",
	from: 0,
	to: 50_000,
	op: "shop.order",
	children: Array.from({ length: 60 }, (_, at) => ({
		name: `item ${at}`,
		from: at * 800,
		to: at * 800 + 10 + at,
		op: at % 2 ? "shop.pack" : "shop.send",
	})),
};

test.beforeAll(async ({ hopline }) => {
	await hopline.sendSpans(makeTrace(SHOP).request);
	const stored = () =>
		hopline.get<{ rows: unknown[][] }>("/api/query?q=count(spans) where op:shop.pack");
	await vi.waitFor(async () => expect(Number((await stored()).rows[0]?.[0])).toBe(30), 10_000);
});

const editorOf = (page: Page) => page.getByRole("textbox", { name: "Question" });
const answerOf = (page: Page) => page.getByRole("region", { name: "Answer" });

async function ask(page: Page, question: string): Promise<void> {
	await editorOf(page).fill(question);
	// The first Enter may take what is suggested.
	await page.keyboard.press("Escape");
	await page.getByRole("button", { name: "Run" }).click();
}

test("a question becomes a table, then a chart, and its address says all of it", async ({
	page,
}) => {
	await page.goto("explore");
	await page.getByRole("heading", { name: "Ask the stored spans" }).waitFor();
	await ask(page, "count(spans) where op:shop.* by op");
	const rows = answerOf(page).getByRole("row");
	await rows.filter({ hasText: "shop.pack" }).filter({ hasText: "30" }).waitFor();
	await rows.filter({ hasText: "shop.order" }).waitFor();

	await page.getByRole("button", { name: "Time series" }).click();
	await answerOf(page).locator("canvas").first().waitFor();
	await answerOf(page).getByRole("button", { name: "shop.pack" }).waitFor();
	await expectSearch(page, { q: "count(spans) where op:shop.* by op", view: "series" });
	await page.reload();
	await answerOf(page).locator("canvas").first().waitFor();
	expect(await editorOf(page).inputValue()).toBe("count(spans) where op:shop.* by op");

	// Whoever reads rather than looks has the same as a table.
	await answerOf(page).getByRole("button", { name: "As a table" }).click();
	await answerOf(page).getByRole("columnheader", { name: "shop.pack" }).waitFor();
	await page.getByRole("button", { name: "Top list" }).click();
	await answerOf(page).getByText("shop.send").first().waitFor();
});

test("a mistake is marked where it stands, and put right by one press", async ({
	page,
	problems,
}) => {
	problems.allow(/status of 400/);
	await page.goto("explore");
	await ask(page, "cuont(spans) where op:shop.pack");
	const mistake = page.locator("[data-mistake]");
	await mistake.first().waitFor();
	expect((await mistake.allTextContents()).join("")).toBe("cuont");
	expect(await editorOf(page).getAttribute("aria-invalid")).toBe("true");
	await page.getByRole("alert").getByRole("button", { name: "Change to count" }).click();
	await answerOf(page).getByText("30", { exact: true }).waitFor();
	expect(await mistake.count()).toBe(0);
});

test("keys, values and functions are suggested as one types, and taken by Tab", async ({
	page,
}) => {
	await page.goto("explore");
	await editorOf(page).click();
	await page.keyboard.type("p9");
	const options = page.getByRole("listbox", { name: "Suggestions" }).getByRole("option");
	await options.filter({ hasText: "p95" }).waitFor();
	await page.keyboard.type("5(span.dur");
	await options.filter({ hasText: "span.duration" }).waitFor();
	await page.keyboard.press("Tab");
	await expect.poll(() => editorOf(page).inputValue()).toContain("p95(span.duration");
	await editorOf(page).fill("");
	await page.keyboard.type("count(spans) where op:shop.p");
	await options.filter({ hasText: "shop.pack" }).waitFor();
	await page.keyboard.press("Escape");
	await options.first().waitFor({ state: "detached" });
});

test("SQL is asked in the same place", async ({ page }) => {
	await page.goto("explore");
	await page.getByRole("button", { name: "SQL", exact: true }).click();
	const field = page.getByRole("textbox", { name: "SQL" });
	await field.fill("select op, count(*) as n from spans where op = 'shop.send' group by op");
	await field.press("Control+Enter");
	await answerOf(page)
		.getByRole("row")
		.filter({ hasText: "shop.send" })
		.filter({ hasText: "30" })
		.waitFor();
	await page.reload();
	await answerOf(page).getByRole("row").filter({ hasText: "shop.send" }).waitFor();
});

test("a region of a heat map leads to its spans", async ({ page, problems }) => {
	// Whether the trace is a build's is asked by its id.
	problems.allow(/404.*api\/builds\/[0-9a-f]{32}\?state=false/);
	await page.goto("explore?q=spans where op:[shop.pack, shop.send] since 1h&view=heat");
	const map = answerOf(page).locator("canvas");
	await map.waitFor();
	const box = await map.boundingBox();
	if (!box) throw new Error("the map has no place");
	await page.mouse.move(box.x + 2, box.y + 2);
	await page.mouse.down();
	await page.mouse.move(box.x + box.width - 2, box.y + box.height - 2, { steps: 5 });
	await page.mouse.up();
	const spans = page.getByRole("table", { name: "Spans of the region" });
	await spans.getByRole("row").filter({ hasText: "item" }).first().waitFor();
	await spans.getByRole("link").first().click();
	await page.waitForURL("**/traces/*");
	await page.getByRole("treegrid", { name: "Spans" }).waitFor();
});
