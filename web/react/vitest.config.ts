/** How the tests of `@hopline/react` run: in a DOM without a browser. */
import { defineConfig } from "vitest/config";

export default defineConfig({
	test: { environment: "happy-dom", include: ["src/**/*.test.{ts,tsx}"] },
});
