/** Dashboards: the ready-made ones, making and keeping one's own, and two people who save at once. */
import type { Page } from "playwright-core";
import type { Hopline } from "./harness/hopline.ts";
import { expect, test } from "./harness/test.ts";

interface Saved {
	dashboards: { name: string; panels: { title: string }[] }[];
}

async function addPanel(page: Page, title: string, question: string): Promise<void> {
	await page.getByRole("button", { name: "Add panel" }).click();
	const dialog = page.getByRole("dialog", { name: "Add a panel" });
	await dialog.getByRole("textbox", { name: "Title" }).fill(title);
	await dialog.getByRole("textbox", { name: "Question" }).fill(question);
	await dialog.getByRole("button", { name: "Number" }).click();
	await dialog.getByRole("button", { name: "Add", exact: true }).click();
	await dialog.waitFor({ state: "detached" });
}

async function saved(hopline: Hopline, name: string) {
	const { dashboards } = await hopline.get<Saved>("/api/dashboards");
	const titles = dashboards.find((one) => one.name === name)?.panels.map(({ title }) => title);
	return titles?.sort();
}

test("those that answer the first questions are there without being made", async ({
	hopline,
	page,
}) => {
	const { sessionId } = await hopline.build("asked-about", {
		agent: "command",
		command: ["echo", "hello"],
	});
	await expect.poll(async () => (await hopline.row(sessionId)).final).toBe(true);
	await page.goto("dashboards");
	for (const name of ["Path of events", "Hop latencies", "Failures"]) {
		await page.getByRole("link", { name }).waitFor();
	}
	await page.getByRole("link", { name: "Path of events" }).click();
	const panel = page.getByRole("region", { name: "Events committed", exact: true });
	await expect.poll(() => panel.textContent()).toMatch(/[1-9]/);
	await page
		.getByRole("region", { name: "Slowest persistence operations", exact: true })
		.getByRole("row")
		.filter({ hasText: "persistEvent" })
		.first()
		.waitFor();
	await page
		.getByRole("region", { name: "Throughput: events at each hop", exact: true })
		.locator("canvas")
		.first()
		.waitFor();
});

test("a panel that was added is there after a reload", async ({ hopline, page }) => {
	await page.goto("dashboards");
	await page.getByRole("button", { name: "New dashboard" }).click();
	await page.getByRole("dialog").getByRole("textbox", { name: "Name" }).fill("Mine");
	await page.getByRole("button", { name: "Make it" }).click();
	await page.waitForURL("**/dashboards/*");
	await addPanel(page, "All spans", "count(spans)");
	await page.getByRole("button", { name: "Save", exact: true }).click();
	await page.getByRole("button", { name: "Edit", exact: true }).waitFor();
	expect(await saved(hopline, "Mine")).toEqual(["All spans"]);
	await page.reload();
	await page.getByRole("region", { name: "All spans", exact: true }).waitFor();
});

test("a panel is moved by keys, and what was not saved is not lost by accident", async ({
	page,
}) => {
	await page.goto("dashboards");
	await page.getByRole("link", { name: "Mine" }).click();
	await page.getByRole("button", { name: "Edit", exact: true }).click();
	const panel = page.getByRole("region", { name: "All spans", exact: true });
	const left = async () => (await panel.boundingBox())?.x ?? 0;
	const before = await left();
	await page.getByRole("button", { name: "Move “All spans”" }).press("ArrowRight");
	await expect.poll(left).toBeGreaterThan(before);

	await page.getByRole("link", { name: "Runners" }).click();
	await page.getByRole("alertdialog", { name: "Leave without saving?" }).waitFor();
	await page.getByRole("button", { name: "Stay" }).click();
	await page.getByRole("button", { name: "Discard" }).click();
	await expect.poll(left).toBe(before);
});

test("of two who save at once the second is asked, and nothing is lost unasked", async ({
	hopline,
	open,
	page,
	problems,
}) => {
	problems.allow(/status of 409/);
	const other = await open();
	for (const one of [page, other]) {
		await one.goto("dashboards");
		await one.getByRole("link", { name: "Mine" }).click();
		await one.getByRole("button", { name: "Edit", exact: true }).click();
	}
	await addPanel(page, "First", "count(spans)");
	await addPanel(other, "Second", "count(spans)");
	await page.getByRole("button", { name: "Save", exact: true }).click();
	await page.getByRole("button", { name: "Edit", exact: true }).waitFor();

	await other.getByRole("button", { name: "Save", exact: true }).click();
	const conflict = other.getByRole("dialog", { name: "Somebody else has saved this dashboard" });
	await conflict.getByRole("button", { name: "Go on editing" }).click();
	await conflict.waitFor({ state: "detached" });
	expect(await saved(hopline, "Mine")).toEqual(["All spans", "First"]);
	await other.getByRole("region", { name: "Second", exact: true }).waitFor();

	await other.getByRole("button", { name: "Save", exact: true }).click();
	await conflict.getByRole("button", { name: "Overwrite with mine" }).click();
	await conflict.waitFor({ state: "detached" });
	await other.getByRole("button", { name: "Edit", exact: true }).waitFor();
	expect(await saved(hopline, "Mine")).toEqual(["All spans", "Second"]);
});

test("a question from Explore becomes a panel", async ({ hopline, page }) => {
	await page.goto("explore?q=count(spans) by op");
	await page.getByRole("button", { name: "Add to dashboard" }).click();
	await page.getByRole("textbox", { name: "Title of the panel" }).fill("By op");
	await page.getByRole("button", { name: "Add", exact: true }).click();
	await page.getByRole("link", { name: "Open the dashboard" }).click();
	await page.getByRole("region", { name: "By op", exact: true }).waitFor();
	expect(await saved(hopline, "Mine")).toContain("By op");
});
