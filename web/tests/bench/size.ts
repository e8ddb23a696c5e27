/** What a browser has to fetch before the console's first page is there. */
import { get } from "node:http";
import type { BrowserContext } from "playwright-core";

/** All files of a first visit together, compressed with gzip, in bytes. */
export async function firstLoadBytes(context: BrowserContext): Promise<number> {
	const page = await context.newPage();
	await page.goto("./");
	await page.getByRole("heading", { name: "Builds" }).waitFor();
	const files = await page.evaluate(() =>
		performance
			.getEntriesByType("resource")
			.map(({ name }) => name)
			.filter((name) => new URL(name).pathname.includes("/assets/")),
	);
	const sizes = await Promise.all([page.url(), ...files].map(gzipSize));
	await context.close();
	return sizes.reduce((all, size) => all + size, 0);
}

function gzipSize(url: string): Promise<number> {
	return new Promise((resolve, reject) => {
		get(url, { headers: { "accept-encoding": "gzip" } }, (answer) => {
			let size = 0;
			answer.on("data", (data: Buffer) => {
				size += data.length;
			});
			answer.on("end", () => resolve(size));
			answer.on("error", reject);
		}).on("error", reject);
	});
}
