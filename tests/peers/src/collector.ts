// Takes what Sentry's SDK sends to its DSN, and tells each span.

import { createServer } from "node:http";
import { gunzipSync } from "node:zlib";
import { listen, say } from "./common.js";

/** A span, as far as it is told. */
interface Span {
  name: string;
  trace_id: string;
  span_id: string;
  parent_span_id?: string;
  attributes: Record<string, { value: unknown } | undefined>;
}

/** The items of an envelope, each with its header; see Sentry's specification of envelopes. */
function* items(envelope: Buffer): Generator<[Record<string, unknown>, string]> {
  let rest = envelope;
  const line = (): string => {
    const end = rest.indexOf("\n");
    const taken = end < 0 ? rest : rest.subarray(0, end);
    rest = end < 0 ? Buffer.alloc(0) : rest.subarray(end + 1);
    return taken.toString("utf8");
  };
  line();
  while (rest.length > 0) {
    const text = line();
    if (text === "") continue;
    const header = JSON.parse(text) as Record<string, unknown>;
    if (typeof header["length"] === "number") {
      const payload = rest.subarray(0, header["length"]).toString("utf8");
      rest = rest.subarray(header["length"] + 1);
      yield [header, payload];
    } else {
      yield [header, line()];
    }
  }
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const raw = Buffer.concat(chunks);
    const envelope = request.headers["content-encoding"] === "gzip" ? gunzipSync(raw) : raw;
    const context = JSON.parse(envelope.subarray(0, envelope.indexOf("\n")).toString("utf8")) as { trace?: unknown };
    for (const [header, payload] of items(envelope)) {
      if (header["type"] !== "span") continue;
      for (const span of (JSON.parse(payload) as { items: Span[] }).items) {
        const { name, trace_id, span_id, parent_span_id } = span;
        say("span", { name, op: span.attributes["sentry.op"]?.value, trace_id, span_id, parent_span_id, context: context.trace });
      }
    }
    response.end("{}");
  });
});
void listen(server, "collector");
