/** Waiting for what a page shows. */
import type { Locator, Page } from "playwright-core";
import { expect } from "vitest";

/** Opens a build's page and waits for its live state. */
export async function openBuild(page: Page, sessionId: string, search = ""): Promise<void> {
	await page.goto(`builds/${sessionId}${search}`);
	await page.getByRole("tablist", { name: "Views of the build" }).waitFor();
}

/** The head of a page: its title, and what is to be known first. */
export function headOf(page: Page): Locator {
	return page.getByRole("main").locator("header").first();
}

/** What a build did, as its page lists it. */
export function activityOf(page: Page): Locator {
	return page.getByRole("region", { name: "Todos and tool calls" });
}

/** A tool call on a build's page, by its tool's name. */
export function callRow(page: Page, tool: string): Locator {
	return page.getByRole("article").filter({ has: page.getByText(tool, { exact: true }) });
}

/** The rows of a waterfall. */
export function spanRow(page: Page, name: string | RegExp): Locator {
	return page.getByRole("treegrid").getByRole("row").filter({ hasText: name });
}

/** Waits until a page's address has these search parameters, and no others. */
export async function expectSearch(page: Page, search: Record<string, string>): Promise<void> {
	await expect.poll(() => Object.fromEntries(new URL(page.url()).searchParams)).toEqual(search);
}

/** A todo on a build's page. */
export function todoRow(page: Page, words: string): Locator {
	return page.getByRole("heading", { level: 3 }).filter({ hasText: words });
}
