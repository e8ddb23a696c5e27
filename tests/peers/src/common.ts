// What the peers share: the messages of the wire, Sentry's SDK, and how they speak to the test that started them.

import { once } from "node:events";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import * as Sentry from "@sentry/node";

export interface Carrier {
  trace?: string;
  baggage?: string;
}

export interface Command {
  id: string;
  type: string;
  projectId?: string;
  payload?: Record<string, unknown>;
  _sentry?: Carrier;
}

export interface RunnerEvent {
  type: string;
  commandId?: string;
  projectId?: string;
  timestamp: string;
  seq?: number;
  _sentry?: Carrier;
  [field: string]: unknown;
}

/** Tells the test something: one line on standard output, a word and JSON. */
export function say(what: string, told: unknown): void {
  process.stdout.write(`${what} ${JSON.stringify(told)}\n`);
}

/** A variable that must be there. */
export function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`expected ${name} in the environment`);
  return value;
}

/** Starts the SDK as a service would: with the DSN from SENTRY_DSN. A trace that begins here is recorded. */
export function startSentry(): void {
  Sentry.init({ dsn: setting("SENTRY_DSN"), environment: "test", tracesSampleRate: 1 });
}

/** Listens on a free port of the loopback, and tells which under this name. */
export async function listen(server: Server, name: string): Promise<void> {
  const port = Number(process.env["PORT"] ?? 0);
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  process.stdout.write(`${name} http://127.0.0.1:${(server.address() as AddressInfo).port}\nready\n`);
}

/** The body of a request. */
export async function body(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

export function answer(response: ServerResponse, status: number, told: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(told));
}

/** Ends in order when asked to, after the SDK has sent what it holds. */
export function endOnSignal(): void {
  process.once("SIGTERM", () => {
    void Sentry.close(5_000).then(() => process.exit(0));
  });
}
