/**
 * What every test is given: a Hopline and a Chromium that the file's tests share, and a page of the test's own that is
 * signed in. A page that runs into an error, or against its Content-Security-Policy, fails its test.
 */
import type { BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { test as base, expect } from "vitest";
import { launch, signIn } from "./browser.ts";
import { Hopline } from "./hopline.ts";

/** How long a page may take to show what it is expected to. */
const PATIENCE_MS = 10_000;

/** Complaints of pages that their tests expect. */
export class Problems {
	readonly #seen: string[] = [];
	readonly #allowed: RegExp[] = [];

	allow(...patterns: RegExp[]): void {
		this.#allowed.push(...patterns);
	}

	watch(page: Page): void {
		page.on("pageerror", (error) => this.#seen.push(String(error)));
		page.on("console", (message) => {
			if (message.type() === "error") {
				this.#seen.push(`${message.text()} (${message.location().url})`);
			}
		});
	}

	get unexpected(): string[] {
		return this.#seen.filter((problem) => !this.#allowed.some((pattern) => pattern.test(problem)));
	}
}

export const test = base
	// biome-ignore lint/correctness/noEmptyPattern: what a fixture needs is read from this pattern.
	.extend("hopline", { scope: "file" }, async ({}, { onCleanup }) => {
		const hopline = await Hopline.start();
		onCleanup(() => hopline.stop());
		return hopline;
	})
	// biome-ignore lint/correctness/noEmptyPattern: as above.
	.extend("browser", { scope: "file" }, async ({}, { onCleanup }) => {
		const browser = await launch();
		onCleanup(() => browser.close());
		return browser;
	})
	.extend("signedIn", { scope: "file" }, ({ hopline, browser }) => signIn(browser, hopline))
	// biome-ignore lint/correctness/noEmptyPattern: as above.
	.extend("problems", ({}, { onCleanup }) => {
		const problems = new Problems();
		onCleanup(() => expect(problems.unexpected).toEqual([]));
		return problems;
	})
	/** Opens one more page, in a browser of its own: signed in, unless it is said otherwise. */
	.extend("open", ({ browser, hopline, signedIn, problems }, { onCleanup }) => {
		const contexts: BrowserContext[] = [];
		onCleanup(async () => {
			await Promise.all(contexts.map((context) => context.close()));
		});
		return async (options: BrowserContextOptions = {}): Promise<Page> => {
			const context = await browser.newContext({
				baseURL: hopline.url,
				storageState: signedIn,
				viewport: { width: 1280, height: 800 },
				reducedMotion: "reduce",
				...options,
			});
			contexts.push(context);
			context.setDefaultTimeout(PATIENCE_MS);
			const page = await context.newPage();
			problems.watch(page);
			return page;
		};
	})
	.extend("page", ({ open }) => open());

export { expect };
