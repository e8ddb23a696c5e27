/** Makes the pictures that docs/console.md shows, from builds as agents make them. */
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { PLACES, shownBy } from "./harness/places.ts";
import { expect, test } from "./harness/test.ts";

const IMAGES = join(import.meta.dirname, "../../docs/images");

/** Larger ones are no help to whoever reads the manual, and are kept in its history for ever. */
const LARGEST = 150 * 1024;

/** So many smaller builds go before, one a second, so that there is something to draw over time. */
const BEFORE = 40;

/** How long the shortest of the agent's tools takes, in milliseconds. */
const PACE = 120;

/** Which pages the manual shows, and how. */
const PICTURES = [
	{ name: "builds", colorScheme: "light" },
	{ name: "build", colorScheme: "light" },
	{ name: "build-path", colorScheme: "light" },
	{ name: "trace-span", colorScheme: "dark" },
	{ name: "explore", colorScheme: "light" },
	{ name: "dashboard", colorScheme: "dark" },
	{ name: "runners", colorScheme: "light" },
] as const;

test("the manual's pictures are made", { timeout: 180_000 }, async ({ hopline, open }) => {
	await mkdir(IMAGES, { recursive: true });
	for (let at = 0; at < BEFORE; at++) {
		const run = `seq ${20 + ((at * 37) % 80)} | while read -r line; do echo "$line"; sleep 0.01; done`;
		await hopline.build(`${["website", "billing", "docs"][at % 3]}-${at}`, {
			agent: "steps",
			steps: [{ name: "test", run }],
		});
		await setTimeout(1_000);
	}
	const shown = await shownBy(hopline, "1m", PACE);
	for (const { name, colorScheme } of PICTURES) {
		const page = await open({ colorScheme });
		await PLACES.find((place) => place.name === name)?.open(page, shown);
		await page.mouse.move(0, 0);
		const path = join(IMAGES, `console-${name}.png`);
		await page.screenshot({ path, animations: "disabled" });
		expect((await stat(path)).size).toBeLessThan(LARGEST);
	}
});
