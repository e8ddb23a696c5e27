// An API as the original's: it takes one event a request and answers without `acked`. An array it refuses, as ARRAYS says; every
// FAILS-th request with an event of a command is answered with 500, and has changed nothing.

import { createServer, type IncomingMessage } from "node:http";
import * as Sentry from "@sentry/node";
import { type RunnerEvent, answer, body, endOnSignal, listen, say, setting, startSentry } from "./common.js";

const arrays = Number(process.env["ARRAYS"] ?? 400);
const fails = Number(process.env["FAILS"] ?? 0);
const underWay = new Set<string>();
let count = 0;

const header = (request: IncomingMessage, name: string): string | undefined => request.headers[name] as string | undefined;
const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

async function take(request: IncomingMessage, event: RunnerEvent): Promise<[number, unknown]> {
  const command = event.commandId;
  if (command === undefined) {
    say("status", event);
    return [200, { ok: true }];
  }
  // Whoever takes an event reads the row that it changes, and writes it.
  say("event", { overlaps: underWay.has(command), trace: header(request, "sentry-trace"), baggage: header(request, "baggage"), event });
  underWay.add(command);
  await pause(1);
  underWay.delete(command);
  count += 1;
  return fails > 0 && count % fails === 0 ? [500, { error: "by request" }] : [200, { ok: true }];
}

const server = createServer((request, response) => {
  void (async () => {
    if (request.headers.authorization !== `Bearer ${setting("SECRET")}`) return answer(response, 401, { error: "unauthorized" });
    if (request.method !== "POST" || request.url !== "/api/runner/events") return answer(response, 404, { error: "not found" });
    const event = JSON.parse(await body(request)) as RunnerEvent | RunnerEvent[];
    if (Array.isArray(event)) {
      say("array", { events: event.length });
      return answer(response, arrays, arrays < 300 ? { ok: true } : { error: "expected an event" });
    }
    const carrier = { sentryTrace: header(request, "sentry-trace"), baggage: header(request, "baggage") };
    const attributes = { "event.type": event.type, "event.projectId": event.projectId };
    const [status, told] = await Sentry.continueTrace(carrier, () =>
      Sentry.startSpan({ name: `api.runner.events.${event.type}`, op: "api.runner.event.process", attributes }, () => take(request, event)),
    );
    answer(response, status, told);
  })();
});

startSentry();
endOnSignal();
void listen(server, "api");
