// Shows page.ts to a Chromium, and tells the trace that the page has made. The packages are served as they are installed:
// an import map stands in for a bundler.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const PACKAGES = [
  "@sentry/browser",
  "@sentry/browser-utils",
  "@sentry/conventions/attributes",
  "@sentry/conventions/metrics",
  "@sentry/conventions/op",
  "@sentry/core",
  "@sentry/core/browser",
  "@sentry/feedback",
  "@sentry/replay",
  "@sentry/replay-canvas",
  "web-vitals",
];
const CHROMIUM = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // It ends when the pipe does, and so with this program, however that ends.
  "--remote-debugging-pipe",
];
/** How long the page may take, in milliseconds: less than the test waits for all of this. */
const PATIENCE = 20_000;

const folder = fileURLToPath(new URL("..", import.meta.url));

/** The address under which a file of this folder is served. */
const served = (url: string) => `/files/${relative(folder, fileURLToPath(url))}`;

function page(): string {
  const imports = Object.fromEntries(PACKAGES.map((name) => [name, served(import.meta.resolve(name))]));
  const script = served(import.meta.resolve("./page.js"));
  return `<!doctype html><title>shop</title>
<script type="importmap">${JSON.stringify({ imports })}</script>
<script type="module" src="${script}"></script>`;
}

/** Answers the page, its scripts, and the word that it has ended; gives what that says. */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<string | undefined> {
  const { pathname } = new URL(request.url ?? "/", "http://localhost");
  if (pathname === "/ended") {
    const pieces: Buffer[] = await request.toArray();
    response.end();
    return Buffer.concat(pieces).toString();
  }
  if (pathname === "/") {
    response.setHeader("content-type", "text/html").end(page());
  } else if (/^\/files\/(dist|node_modules)\/.*\.m?js$/.test(pathname)) {
    const script = await readFile(join(folder, pathname.slice("/files/".length)));
    response.setHeader("content-type", "text/javascript").end(script);
  } else {
    response.writeHead(404).end();
  }
  return undefined;
}

let end: (said: string) => void = () => {};
let fail: (error: Error) => void = () => {};
const ended = new Promise<string>((resolve, reject) => {
  end = resolve;
  fail = reject;
});
const server = createServer((request, response) => {
  answer(request, response).then((said) => said !== undefined && end(said), fail);
});
await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
const { port } = server.address() as AddressInfo;
const asked = new URLSearchParams({
  dsn: process.env["SENTRY_DSN"] ?? "",
  lifecycle: process.env["LIFECYCLE"] ?? "stream",
});
const profile = await mkdtemp(join(tmpdir(), "hopline-browser-"));
const args = [...CHROMIUM, `--user-data-dir=${profile}`, `http://127.0.0.1:${port}/?${asked}`];
const chromium = spawn("chromium", args, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
chromium.on("error", fail);
const patience = setTimeout(() => fail(new Error("the page did not end in time")), PATIENCE);
try {
  const traceId = await ended;
  if (traceId === "") throw new Error("the page could not send everything");
  process.stdout.write(`trace ${traceId}\n`);
} finally {
  clearTimeout(patience);
  if (chromium.exitCode === null && chromium.kill("SIGKILL")) {
    await new Promise((gone) => chromium.once("exit", gone));
  }
  server.close();
  server.closeAllConnections();
  await rm(profile, { recursive: true, force: true, maxRetries: 10 });
}
