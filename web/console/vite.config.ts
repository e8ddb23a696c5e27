/**
 * How the console is built, served while it is developed, and tested.
 *
 * `base` is relative, so that one build works under any path: the server names the path in the page's `<base>`.
 */
import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import type { Plugin, ProxyOptions } from "vite";
import { defineConfig } from "vitest/config";
import { precompress } from "./precompress.ts";

const server = process.env.HOPLINE_URL ?? "http://127.0.0.1:4700";

const fromHere = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Passes requests on to a running Hopline, as if its own page had made them. */
function toHopline(more: ProxyOptions = {}): ProxyOptions {
	return {
		target: server,
		changeOrigin: true,
		configure(proxy) {
			// The server refuses pages of other origins, and this page's is the development server's.
			proxy.on("proxyReq", (request) => request.setHeader("origin", server));
			proxy.on("proxyReqWs", (request) => request.setHeader("origin", server));
		},
		...more,
	};
}

const proxy: Record<string, ProxyOptions> = {
	"/api": toHopline(),
	"/health": toHopline(),
	"/signout": toHopline(),
	"/ws": toHopline({ ws: true }),
	"/v1/traces": toHopline(),
	// Links with a code and sign-ins are the server's; the page itself is the console's.
	"/signin": toHopline({
		bypass: (request) =>
			request.method === "GET" && !request.url?.includes("code=") ? "/index.html" : undefined,
	}),
};

/** Nothing is painted before the script has chosen the theme and drawn the page: without this a dark page flashes white. */
function blockFirstPaint(): Plugin {
	return {
		name: "hopline-block-first-paint",
		transformIndexHtml: {
			order: "post",
			handler: (html) =>
				html.replace('<script type="module"', '<script type="module" blocking="render"'),
		},
	};
}

export default defineConfig({
	base: "./",
	plugins: [react(), blockFirstPaint(), precompress()],
	resolve: {
		// The hook's own sources, so that neither needs a build for the other.
		alias: { "@hopline/react": fromHere("../react/src/index.ts") },
	},
	server: { proxy },
	preview: { proxy },
	build: {
		target: "es2023",
		// A strict Content-Security-Policy has no place for data: addresses.
		assetsInlineLimit: 0,
		modulePreload: { polyfill: false },
		// What every page needs comes in one piece; scripts/ and the browser tests hold its budget.
		chunkSizeWarningLimit: 800,
	},
	test: {
		// A page to test in takes longer to make than most tests to run: only those that render have one.
		projects: [
			{
				extends: true,
				test: { name: "logic", include: ["src/**/*.test.ts"], environment: "node" },
			},
			{
				extends: true,
				test: {
					name: "components",
					include: ["src/**/*.test.tsx"],
					environment: "happy-dom",
					setupFiles: ["src/testing.ts"],
				},
			},
		],
	},
});
