/** Debian's Chromium, and signing in with it. */
import { type Browser, type BrowserContextOptions, chromium } from "playwright-core";
import type { Hopline } from "./hopline.ts";

const CHROMIUM = process.env.HOPLINE_CHROMIUM ?? "/usr/bin/chromium";

/** What a signed-in browser keeps. */
export type SignedIn = NonNullable<Exclude<BrowserContextOptions["storageState"], string>>;

export function launch(): Promise<Browser> {
	return chromium.launch({
		executablePath: CHROMIUM,
		args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-sync"],
	});
}

/** Follows the one-time link, as a person does. */
export async function signIn(browser: Browser, hopline: Hopline): Promise<SignedIn> {
	const context = await browser.newContext({ baseURL: hopline.url });
	try {
		const page = await context.newPage();
		const link = new URL(hopline.signIn);
		await page.goto(link.pathname + link.search);
		await page.getByRole("heading", { name: "Builds" }).waitFor();
		return await context.storageState();
	} finally {
		await context.close();
	}
}
