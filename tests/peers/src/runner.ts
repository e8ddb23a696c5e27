// A runner as others write one. On the older link it sends each event once, without a number; on `hopline.v1` it keeps
// what is not acknowledged, and sends it again. It carries out `start-build` by a script: a plan, a tool call, and two
// texts whose pieces come in turn.

import * as Sentry from "@sentry/node";
import WebSocket from "ws";
import { type Command, type RunnerEvent, endOnSignal, say, setting, startSentry } from "./common.js";

const V1 = "hopline.v1";
const runnerId = setting("RUNNER_ID");
const isV1 = process.env["PROTOCOL"] === V1;
const pieces = Number(setting("PIECES"));
const traced = ["build-completed", "build-failed", "build-stream", "error", "project-metadata", "files-deleted", "file-written"];

/** What is said in one command and not yet settled, by number. */
interface Journal {
  next: number;
  unsettled: Map<number, RunnerEvent>;
}

const journals = new Map<string, Journal>();
let socket: WebSocket | undefined;
let isWelcome = false;

function write(event: RunnerEvent): void {
  if (socket?.readyState === WebSocket.OPEN && (!isV1 || isWelcome)) socket.send(JSON.stringify(event));
}

function sendEvent(command: Command, fields: { type: string; [field: string]: unknown }): void {
  const event: RunnerEvent = {
    commandId: command.id,
    ...(command.projectId === undefined ? {} : { projectId: command.projectId }),
    timestamp: new Date().toISOString(),
    ...fields,
  };
  const attributes = { "event.type": event.type, "event.projectId": event.projectId, "event.commandId": event.commandId };
  const out = (): void => {
    const carrier = Sentry.getTraceData();
    if (event.type !== "ack") event._sentry = { trace: carrier["sentry-trace"]!, baggage: carrier.baggage! };
    if (isV1) {
      const journal = journals.get(command.id)!;
      event.seq = journal.next++;
      journal.unsettled.set(event.seq, event);
    }
    write(event);
  };
  if (!traced.includes(event.type)) return out();
  Sentry.startSpan({ name: `runner.sendEvent.${event.type}`, op: "runner.event.send", attributes }, out);
}

function part(command: Command, told: object): void {
  sendEvent(command, { type: "build-stream", data: `data: ${JSON.stringify(told)}\n\n` });
}

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

async function build(command: Command): Promise<void> {
  const todos = ["completed", "in_progress"].map((status, n) => ({ content: `Step ${n}`, activeForm: `Doing step ${n}`, status }));
  part(command, { type: "start", messageId: "m" });
  part(command, { type: "tool-input-available", toolCallId: "plan", toolName: "TodoWrite", input: { todos } });
  await Sentry.startSpan({ name: "runner.tool.Bash", op: "gen_ai.execute_tool" }, async () => {
    part(command, { type: "tool-input-available", toolCallId: "t1", toolName: "Bash", input: { command: "make" }, todoIndex: 1 });
    await pause(5);
    part(command, { type: "tool-output-available", toolCallId: "t1", output: "made 🐇" });
  });
  for (const id of ["one", "two"]) part(command, { type: "text-start", id });
  for (let n = 0; n < pieces; n++) {
    for (const id of ["one", "two"]) part(command, { type: "text-delta", id, delta: `${id} ${n}\n` });
    if (n % 10 === 9) await pause(2);
  }
  for (const id of ["one", "two"]) part(command, { type: "text-end", id });
  const done = todos.map((todo) => ({ ...todo, status: "completed" }));
  part(command, { type: "tool-input-available", toolCallId: "plan", toolName: "TodoWrite", input: { todos: done } });
  part(command, { type: "finish" });
  const list = done.map((todo, n) => ({ id: `${n}`, title: todo.content, status: todo.status }));
  sendEvent(command, { type: "build-completed", payload: { todos: list, summary: "by script" }, exitCode: 0 });
}

function handle(command: Command): void {
  if (isV1 && journals.has(command.id)) return;
  journals.set(command.id, { next: 1, unsettled: new Map() });
  say("command", command);
  const carrier = { sentryTrace: command._sentry?.trace, baggage: command._sentry?.baggage };
  const attributes = { "event.commandId": command.id };
  void Sentry.continueTrace(carrier, () =>
    Sentry.startSpan({ name: `handleCommand.${command.type}`, op: "runner.command", attributes }, async () => {
      sendEvent(command, { type: "ack" });
      if (command.type === "start-build") await build(command);
    }),
  ).then(() => Sentry.flush(5_000));
}

/** Sends again what is not settled of a command, from a number on. */
function again(journal: Journal, from: number): void {
  for (const [seq, event] of journal.unsettled) if (seq >= from) write(event);
}

function status(): RunnerEvent {
  const payload = { status: "online", version: "1.0.0", hostname: "peer", platform: process.platform, uptimeSeconds: process.uptime(), load: 0 };
  return { type: "runner-status", timestamp: new Date().toISOString(), payload };
}

function greet(): void {
  if (!isV1) return write(status());
  const resume = [...journals].map(([commandId, journal]) => ({
    commandId,
    nextSeq: journal.unsettled.keys().next().value ?? journal.next,
  }));
  socket!.send(JSON.stringify({ type: "hello", runnerId, instanceId: `${process.pid}`, version: "1.0.0", agents: ["command"], resume }));
}

function hear(text: string): void {
  const message = JSON.parse(text) as { type: string; commandId: string; seq: number };
  const journal = journals.get(message.commandId);
  switch (isV1 ? message.type : "") {
    case "welcome":
      isWelcome = true;
      for (const each of journals.values()) again(each, 0);
      return;
    case "events-acked":
      for (const seq of journal?.unsettled.keys() ?? []) if (seq <= message.seq) journal!.unsettled.delete(seq);
      return;
    case "resend":
      return journal && again(journal, message.seq);
    default:
      return handle(message as unknown as Command);
  }
}

function connect(): void {
  const url = `${setting("BROKER").replace("http", "ws")}/socket?runnerId=${runnerId}`;
  const headers = { authorization: `Bearer ${setting("SECRET")}` };
  socket = isV1 ? new WebSocket(url, V1, { headers }) : new WebSocket(url, { headers });
  isWelcome = false;
  socket.on("open", greet);
  socket.on("message", (data) => hear(data.toString()));
  socket.on("error", () => {});
  socket.on("close", (code) => {
    say("closed", { code });
    setTimeout(connect, 50);
  });
}

startSentry();
endOnSignal();
connect();
process.stdout.write("ready\n");
