// A broker as the original's: one connection a runner, no acknowledgements. It posts each event by itself, in order. Unless
// told otherwise it does with an offered subprotocol what `ws` does by itself: it says yes to any, and speaks none.

import { createServer } from "node:http";
import * as Sentry from "@sentry/node";
import WebSocket, { WebSocketServer } from "ws";
import { type Command, type RunnerEvent, answer, body, endOnSignal, listen, say, setting, startSentry } from "./common.js";

const bearer = `Bearer ${setting("SECRET")}`;
const connections = new Map<string, WebSocket>();

async function forward(event: RunnerEvent): Promise<void> {
  const carrier = { sentryTrace: event._sentry?.trace, baggage: event._sentry?.baggage };
  const attributes = { "event.type": event.type, "event.projectId": event.projectId };
  const post = async (): Promise<void> => {
    const trace = event._sentry ? Sentry.getTraceData() : {};
    const headers = { "content-type": "application/json", authorization: bearer, ...trace } as Record<string, string>;
    // The event that holds the headers' values as well: only the headers count for a single event.
    const sent = await fetch(`${setting("API")}/api/runner/events`, { method: "POST", headers, body: JSON.stringify(event) });
    say("forwarded", { type: event.type, commandId: event.commandId, seq: event.seq, status: sent.status });
  };
  if (!event._sentry) return post();
  await Sentry.continueTrace(carrier, () =>
    Sentry.startSpan({ name: `broker.forwardEvent.${event.type}`, op: "broker.event.forward", attributes }, post),
  );
}

const server = createServer((request, response) => {
  void (async () => {
    if (request.headers.authorization !== bearer) return answer(response, 401, { error: "unauthorized" });
    const { runnerId, command } = JSON.parse(await body(request)) as { runnerId: string; command?: Command };
    if (command === undefined) return answer(response, 400, { error: "no command" });
    const connection = connections.get(runnerId);
    if (connection?.readyState !== WebSocket.OPEN) return answer(response, 503, { error: "the runner is not connected" });
    say("command", { runnerId, id: command.id, type: command.type });
    connection.send(JSON.stringify(command));
    answer(response, 200, { ok: true });
  })();
});

const refusesAll = process.env["SUBPROTOCOLS"] === "none";
const sockets = new WebSocketServer({ server, path: "/socket", ...(refusesAll ? { handleProtocols: () => false as const } : {}) });
sockets.on("connection", (socket, request) => {
  const runnerId = new URL(request.url ?? "", "http://broker").searchParams.get("runnerId") ?? "";
  if (request.headers.authorization !== bearer) return socket.close(1008, "unauthorized");
  say("connected", { runnerId, protocol: socket.protocol });
  connections.get(runnerId)?.close(4001, "replaced");
  connections.set(runnerId, socket);
  let last = Promise.resolve();
  socket.on("message", (data) => {
    const message = JSON.parse(data.toString()) as RunnerEvent;
    say("received", { type: message.type, commandId: message.commandId });
    // `runnerId` is how the server knows whose status it is.
    last = last.then(() => forward({ ...message, runnerId }));
  });
});

startSentry();
endOnSignal();
void listen(server, "broker");
