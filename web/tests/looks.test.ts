/** How every page looks: nothing that axe finds in either theme, and nothing that reaches beyond the sides of a phone. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { PLACES, shownBy } from "./harness/places.ts";
import { test as base, expect } from "./harness/test.ts";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Pictures of all pages, for whoever wants to see what the tests saw. */
const ARTEFACTS = join(import.meta.dirname, "artefacts");

const PHONE = { width: 390, height: 844 };

const test = base.extend("shown", { scope: "file" }, ({ hopline }) => shownBy(hopline, "15m"));

interface Violation {
	id: string;
	nodes: { html: string; failureSummary?: string }[];
}

interface Rules {
	rules?: Record<string, { enabled: boolean }>;
	runOnly?: string[];
}

declare const axe: {
	run(root: Document, rules: Rules): Promise<{ violations: Violation[] }>;
};

/** What changes with the theme, and takes longest to look at. */
const CONTRAST = "color-contrast";
const ALL: Rules = {};
const COLOURS: Rules = { runOnly: [CONTRAST] };
const ALL_BUT_COLOURS: Rules = { rules: { [CONTRAST]: { enabled: false } } };

/** What axe finds wrong with a page, in a few words each. */
async function violationsOn(page: Page, rules: Rules = ALL): Promise<string[]> {
	await page.evaluate(AXE);
	const { violations } = await page.evaluate((rules) => axe.run(document, rules), rules);
	return violations.flatMap(({ id, nodes }) =>
		nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)} ${failureSummary ?? ""}`),
	);
}

/** How far a page's content reaches beyond its side, in pixels. */
const overflowOf = (page: Page) =>
	page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

for (const { name, open: visit } of PLACES) {
	test(`${name}: right for everyone in both themes, and on a phone`, async ({
		open,
		shown,
		problems,
	}) => {
		problems.allow(/status of 40[04]/);
		const page = await open({ colorScheme: "light" });
		await visit(page, shown);
		const picture = (kind: string) =>
			page.screenshot({ path: join(ARTEFACTS, `${name}-${kind}.png`) });
		await picture("light");
		expect(await violationsOn(page)).toEqual([]);

		await page.emulateMedia({ colorScheme: "dark" });
		await picture("dark");
		expect(await violationsOn(page, COLOURS)).toEqual([]);

		await page.setViewportSize(PHONE);
		await expect.poll(() => overflowOf(page)).toBe(0);
		await picture("phone");
		expect(await violationsOn(page, ALL_BUT_COLOURS)).toEqual([]);
	});
}

test("the sign-in is right for everyone", async ({ open, problems }) => {
	problems.allow(/status of 401/, /WebSocket/);
	const page = await open({ storageState: { cookies: [], origins: [] }, viewport: PHONE });
	await page.goto("./");
	await page.getByLabel("Admin secret").waitFor();
	await page.screenshot({ path: join(ARTEFACTS, "signin-phone.png") });
	expect(await violationsOn(page)).toEqual([]);
	expect(await overflowOf(page)).toBe(0);
});

test("the first visit is right for everyone", async ({ open }) => {
	const empty = await open();
	await empty.route("**/api/builds?*", (route) =>
		route.fulfill({ json: { builds: [], nextCursor: null } }),
	);
	await empty.goto("./");
	await empty.getByRole("heading", { name: "Run your first build" }).waitFor();
	await empty.screenshot({ path: join(ARTEFACTS, "first-visit-light.png") });
	expect(await violationsOn(empty)).toEqual([]);
});
