/** How the browser tests run: two files at a time, each with a Hopline and a Chromium of its own. */
import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		// The manual's pictures are made only when they are asked for.
		include: [process.env.HOPLINE_PICTURES ? "pictures.ts" : "*.test.ts"],
		maxWorkers: 2,
		testTimeout: 60_000,
		hookTimeout: 60_000,
		expect: { poll: { timeout: 10_000, interval: 50 } },
	},
});
