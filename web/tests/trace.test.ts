/** A trace's page: deep links, the keyboard, folding, search, filters, growth, and names that mean harm. */
import type { Page } from "playwright-core";
import { Agent, answer, call } from "./harness/agent.ts";
import type { Hopline } from "./harness/hopline.ts";
import { expectSearch, spanRow } from "./harness/look.ts";
import { type MadeSpan, makeTrace } from "./harness/spans.ts";
import { expect, test } from "./harness/test.ts";

// Whether a trace is a build's is asked by its id, and most of these are none's.
test.beforeEach(({ problems }) => {
	problems.allow(/404.*api\/builds\/[0-9a-f]{32}\?state=false/);
});

/** A request with two steps, one of which fails, and a run of like spans. */
const ORDER: MadeSpan = {
	name: "order",
	from: 0,
	to: 1000,
	service: "shop",
	children: [
		{
			name: "check out",
			from: 10,
			to: 600,
			op: "shop.checkout",
			children: [
				{ name: "charge card", from: 20, to: 300, service: "bank", error: "card refused" },
				{ name: "send receipt", from: 310, to: 590, service: "post", op: "mail" },
			],
		},
		{
			name: "poll all",
			from: 610,
			to: 990,
			children: Array.from({ length: 40 }, (_, at) => ({
				name: "poll",
				from: 611 + at * 9,
				to: 616 + at * 9,
			})),
		},
	],
};

/** Stores a trace and opens its page, once all of it can be read. */
async function opened(hopline: Hopline, page: Page, root: MadeSpan, search = "") {
	const made = makeTrace(root);
	await hopline.sendSpans(made.request);
	const path = `/api/traces/${made.traceId}?format=outline`;
	await expect.poll(async () => (await hopline.fetch(path)).status).toBe(200);
	await page.goto(
		`traces/${made.traceId}${search.replace("ID", made.ids.get("send receipt") ?? "")}`,
	);
	await page.getByRole("treegrid", { name: "Spans" }).waitFor();
	return made;
}

/** Looks for a span until it is in sight. */
async function found(page: Page, name: string): Promise<void> {
	const search = page.getByRole("textbox", { name: "Search spans" });
	await search.fill(name);
	await expect
		.poll(async () => {
			await search.press("Enter");
			return spanRow(page, name).first().isVisible();
		})
		.toBe(true);
}

const panelOf = (page: Page) => page.getByRole("complementary", { name: "Span" });

/** Which row has the focus. */
const focused = (page: Page) =>
	page.evaluate(() => document.activeElement?.closest("[role=row]")?.textContent ?? "");

test("a link to a span shows that span, and its details", async ({ hopline, page }) => {
	await opened(hopline, page, ORDER, "?span=ID");
	await panelOf(page).getByRole("heading", { name: "send receipt" }).waitFor();
	const row = spanRow(page, "send receipt");
	await row.waitFor();
	expect(await row.getAttribute("aria-selected")).toBe("true");
	await panelOf(page).getByText("280 ms").first().waitFor();

	await panelOf(page).getByRole("button", { name: "check out" }).first().click();
	await panelOf(page).getByRole("heading", { name: "check out" }).waitFor();
	await panelOf(page).getByRole("button", { name: "Close" }).click();
	await expectSearch(page, {});
});

test("everything of a trace is reached by the keyboard", async ({ hopline, page }) => {
	const { ids } = await opened(hopline, page, ORDER);
	await spanRow(page, "order").first().focus();
	await page.keyboard.press("ArrowDown");
	await expect.poll(() => focused(page)).toContain("check out");
	await page.keyboard.press("ArrowLeft");
	await spanRow(page, "charge card").waitFor({ state: "detached" });
	expect(await spanRow(page, "check out").getAttribute("aria-expanded")).toBe("false");
	await page.keyboard.press("ArrowRight");
	await spanRow(page, "charge card").waitFor();
	await page.keyboard.press("ArrowRight");
	await expect.poll(() => focused(page)).toContain("charge card");

	await page.keyboard.press("Enter");
	await panelOf(page).getByRole("heading", { name: "charge card" }).waitFor();
	await panelOf(page).getByText("card refused").first().waitFor();
	await expectSearch(page, { span: ids.get("charge card") ?? "" });
	await page.keyboard.press("Escape");
	await panelOf(page).waitFor({ state: "detached" });

	await page.keyboard.press("/");
	await page.keyboard.type("receipt");
	await page.keyboard.press("Enter");
	await page.getByText("1 of 1").waitFor();
	await page.keyboard.press("ArrowDown");
	await page.keyboard.press("e");
	await expect.poll(() => focused(page)).toContain("charge card");

	const zoomOut = page.getByRole("button", { name: "Zoom out" });
	expect(await zoomOut.isDisabled()).toBe(true);
	await page.keyboard.press("z");
	await expect.poll(() => zoomOut.isDisabled()).toBe(false);
	await page.keyboard.press("0");
	await expect.poll(() => zoomOut.isDisabled()).toBe(true);

	await page.keyboard.press("?");
	const help = page.getByRole("dialog", { name: "Keys" });
	const hasFocus = (dialog: Element) => dialog.contains(document.activeElement);
	await expect.poll(() => help.evaluate(hasFocus)).toBe(true);
	await page.keyboard.press("Escape");
	await help.waitFor({ state: "detached" });
});

test("a run of like spans is one row, which opens", async ({ hopline, page }) => {
	await opened(hopline, page, ORDER);
	const run = spanRow(page, "× 40");
	await run.waitFor();
	await run.focus();
	await page.keyboard.press("ArrowRight");
	await expect.poll(() => spanRow(page, /^poll(?! all)/).count()).toBeGreaterThan(10);
});

test("a search steps from match to match, and stands in the address with the filters", async ({
	hopline,
	page,
}) => {
	await opened(hopline, page, ORDER);
	const search = page.getByRole("textbox", { name: "Search spans" });
	await search.fill("e");
	await search.press("Enter");
	await page.getByText(/^1 of \d+/).waitFor();
	await page.getByRole("button", { name: "Next match" }).click();
	await page.getByText(/^2 of \d+/).waitFor();
	await page.getByRole("button", { name: "Previous match" }).click();
	await page.getByText(/^1 of \d+/).waitFor();
	await search.fill("");

	await page.getByRole("button", { name: "Service" }).click();
	await page.getByRole("menuitemcheckbox", { name: "bank" }).click();
	await page.keyboard.press("Escape");
	await spanRow(page, "send receipt").waitFor({ state: "detached" });
	await spanRow(page, "charge card").waitFor();
	await expectSearch(page, { service: "bank" });
	await page.reload();
	await spanRow(page, "charge card").waitFor();
	expect(await spanRow(page, "send receipt").count()).toBe(0);
});

test("a trace grows while it is looked at, and spans that run are there before their end", async ({
	hopline,
	page,
}) => {
	const agent = await Agent.make();
	const { traceId } = await hopline.build("grows", { agent: "stream", command: agent.command });
	await agent.say(...call("c1", "Slow", { seconds: "many" }));
	await page.goto(`traces/${traceId}`);
	await page.getByText("so far").waitFor();
	// The build itself has not ended, and is there.
	await spanRow(page, "runner.build").first().waitFor();
	await found(page, "runner.tool.Slow");
	await agent.say(answer("c1", "done"), ...call("c2", "Quick", {}), answer("c2", "done"));
	await found(page, "runner.tool.Quick");
	await agent.exit();
	await page.getByText("so far").waitFor({ state: "detached" });
	await page.getByRole("link", { name: "Show the build" }).click();
	await page.waitForURL("**/builds/*");
	await agent.close();
});

test("names that mean harm are text, and harmless", async ({ hopline, page }) => {
	const markup = '<img src="x" onerror="window.wasRun = true">';
	const reversed = "\u202Egnihton fo eman a";
	await opened(hopline, page, {
		name: markup,
		from: 0,
		to: 100,
		service: `<b>${markup}</b>`,
		op: markup,
		attributes: { [markup]: markup, "javascript:": "javascript:alert(1)" },
		children: [
			{ name: reversed, from: 1, to: 2 },
			{ name: "long ".repeat(10_000), from: 2, to: 3, error: markup },
			{ name: "line\nbreak\u0000\u0007\u001b[31m", from: 3, to: 4 },
		],
	});
	const row = spanRow(page, markup).first();
	await row.click();
	await panelOf(page).getByRole("heading", { name: markup }).waitFor();
	await panelOf(page).getByText("javascript:alert(1)").waitFor();
	expect(await page.locator("img").count()).toBe(0);
	expect(await page.evaluate(() => "wasRun" in window)).toBe(false);
	// One that writes backwards turns nothing around but itself.
	expect(await spanRow(page, "gnihton").locator("bdi").count()).toBe(1);
	const { height } = (await spanRow(page, "long long").boundingBox()) ?? { height: 0 };
	expect(height).toBeLessThan(40);
});

test("a span's own kind is found in Explore", async ({ hopline, page }) => {
	await opened(hopline, page, ORDER, "?span=ID");
	await panelOf(page).getByRole("link", { name: "Show in Explore" }).click();
	await page.waitForURL("**/explore?*");
	const answer = page.getByRole("region", { name: "Answer" });
	await answer.getByRole("row").filter({ hasText: "send receipt" }).first().waitFor();
});

test("a trace is copied as JSON, whole", async ({ hopline, page }) => {
	const { traceId } = await opened(hopline, page, ORDER);
	await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
	await page.getByRole("button", { name: "Copy as JSON" }).click();
	const copied = () => page.evaluate(() => navigator.clipboard.readText());
	await expect.poll(copied).toContain(traceId);
	const { resourceSpans } = JSON.parse(await copied());
	const names = JSON.stringify(resourceSpans).match(/"name":"poll"/g) ?? [];
	expect(names).toHaveLength(40);
});

test("a trace and a span that are not there are told calmly", async ({
	hopline,
	page,
	problems,
}) => {
	problems.allow(/status of 40[04]/);
	for (const id of ["0123456789abcdef0123456789abcdef", "nonsense", "%22%3E%3Cimg%3E"]) {
		await page.goto(`traces/${id}`);
		await page.getByText("There is no trace of this id").waitFor();
	}
	await opened(hopline, page, ORDER, "?span=0123456789abcdef");
	await page.getByText("This span is not here").waitFor();
	await spanRow(page, "check out").waitFor();
});
