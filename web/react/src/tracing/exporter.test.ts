import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ServerClock } from "../clock.js";
import { Exporter } from "./exporter.js";
import type { TracingOptions } from "./options.js";
import type { FinishedSpan } from "./span.js";

const HOUR = 3_600_000;

interface Sent {
	url: string;
	init: RequestInit;
	spans: {
		name: string;
		startTimeUnixNano: string;
		attributes: { key: string; value: object }[];
	}[];
}

let sent: Sent[];
let status: number;
let clock: ServerClock;

function span(number: number, more: Partial<FinishedSpan> = {}): FinishedSpan {
	return {
		traceId: "a".repeat(32),
		spanId: String(number).padStart(16, "0"),
		parentId: "b".repeat(16),
		name: "useBuildWebSocket.text-delta",
		op: "ui.websocket.receive",
		kind: "consumer",
		start: 1_796_050_871_563.25,
		end: 1_796_050_871_564.5,
		attributes: { "event.seq": number },
		samplingContext: { trace_id: "t" },
		...more,
	};
}

function exporter(options: TracingOptions = {}): Exporter {
	return new Exporter(clock, options, () => new URL("/under/ws", window.location.href).href);
}

function attribute(of: Sent["spans"][number] | undefined, key: string): object | undefined {
	return of?.attributes.find((one) => one.key === key)?.value;
}

beforeEach(() => {
	vi.useFakeTimers();
	sent = [];
	status = 200;
	clock = new ServerClock();
	clock.note(Date.now(), Date.now(), new Date().toISOString());
	vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
		const { resourceSpans } = JSON.parse(String(init.body));
		sent.push({ url, init, spans: resourceSpans[0].scopeSpans[0].spans });
		if (status === 0) throw new TypeError("Failed to fetch");
		return new Response("{}", { status });
	});
});

afterEach(() => {
	vi.useRealTimers();
	vi.unstubAllGlobals();
	vi.restoreAllMocks();
});

test("spans go straight to Hopline where the page has nothing else, a few at a time", async () => {
	const to = exporter({ service: "a-page" });
	to.record([span(1), span(2, { parentId: "1", name: "react.render.Build", kind: "internal" })]);
	expect(sent).toHaveLength(0);
	await vi.advanceTimersByTimeAsync(1_000);
	expect(sent).toHaveLength(1);
	const [{ url, init, spans }] = sent as [Sent];
	expect(url).toBe(new URL("/under/v1/traces", window.location.href).href);
	expect(init).toMatchObject({ method: "POST", credentials: "same-origin", keepalive: false });
	expect(init.headers).toEqual({ "content-type": "application/json" });
	expect(spans[0]).toMatchObject({
		traceId: "a".repeat(32),
		spanId: "0000000000000001",
		parentSpanId: "b".repeat(16),
		kind: 5,
		startTimeUnixNano: "1796050871563250000",
		endTimeUnixNano: "1796050871564500000",
	});
	expect(spans[1]).toMatchObject({ name: "react.render.Build", kind: 1, parentSpanId: "1" });
	expect(attribute(spans[0], "sentry.op")).toEqual({ stringValue: "ui.websocket.receive" });
	expect(attribute(spans[0], "event.seq")).toEqual({ intValue: "1" });
	expect(String(init.body)).toContain('{"key":"service.name","value":{"stringValue":"a-page"}}');
});

test("a page of another origin shows its ingest key", async () => {
	exporter({ url: "https://elsewhere.test/v1/traces", key: "k" }).record([span(1)]);
	await vi.advanceTimersByTimeAsync(1_000);
	expect(sent[0]?.url).toBe("https://elsewhere.test/v1/traces");
	expect(sent[0]?.init).toMatchObject({
		credentials: "omit",
		headers: { authorization: "Bearer k" },
	});
});

test("times of a clock that is off are the server's, and marked", async () => {
	const here = Date.now();
	clock = new ServerClock();
	clock.note(here, here, new Date(here - HOUR).toISOString());
	exporter().record([span(1, { start: 1_796_050_871_563 })]);
	await vi.advanceTimersByTimeAsync(1_000);
	const [first] = sent[0]?.spans ?? [];
	expect(first?.startTimeUnixNano).toBe("1796047271563500000");
	expect(attribute(first, "hopline.clock.offset_ns")).toEqual({ intValue: "3599999500000" });
});

test("the first spans wait for the server to say its time, but not for ever", async () => {
	clock = new ServerClock();
	exporter().record([span(1)]);
	await vi.advanceTimersByTimeAsync(4_000);
	expect(sent).toHaveLength(0);
	await vi.advanceTimersByTimeAsync(2_000);
	expect(sent).toHaveLength(1);
});

test("a server that is away gets them later, once each", async () => {
	status = 0;
	const to = exporter();
	to.record([span(1)]);
	await vi.advanceTimersByTimeAsync(1_000);
	status = 503;
	await vi.advanceTimersByTimeAsync(2_000);
	status = 200;
	to.record([span(2)]);
	await vi.advanceTimersByTimeAsync(10_000);
	expect(sent.map(({ spans }) => spans.length)).toEqual([1, 1, 2]);
	expect(to.dropped).toBe(0);
	await vi.advanceTimersByTimeAsync(60_000);
	expect(sent).toHaveLength(3);
});

test("what does not fit and what is refused is dropped, counted and told of on its trace", async () => {
	status = 401;
	const to = exporter();
	to.record([span(1)]);
	await vi.advanceTimersByTimeAsync(1_000);
	expect(to.dropped).toBe(1);
	to.record(Array.from({ length: 2_100 }, (_, number) => span(number)));
	expect(to.dropped).toBe(101);
	status = 200;
	await vi.advanceTimersByTimeAsync(60_000);
	const notice = sent[1]?.spans.find(({ name }) => name === "hopline.spans.dropped");
	expect(attribute(notice, "hopline.dropped_spans")).toEqual({ intValue: "101" });
	expect(attribute(notice, "sentry.op")).toBeUndefined();
	await vi.advanceTimersByTimeAsync(60_000);
	const all = sent.slice(1).flatMap(({ spans }) => spans);
	expect(all).toHaveLength(2_001);
});

test("what waits leaves with the page, as much as browsers let go", async () => {
	exporter().record(Array.from({ length: 100 }, (_, number) => span(number)));
	vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
	document.dispatchEvent(new Event("visibilitychange"));
	expect(sent).toHaveLength(1);
	expect(sent[0]?.init.keepalive).toBe(true);
	expect(String(sent[0]?.init.body).length).toBeLessThan(64_000);
	await vi.advanceTimersByTimeAsync(2_000);
	expect(sent.flatMap(({ spans }) => spans)).toHaveLength(100);
});

test("a page's Sentry gets each receipt as a transaction of the batch's trace, with its paint in it", async () => {
	const captureEvent = vi.fn();
	const client = { captureEvent, getOptions: () => ({ tracesSampleRate: 1 }) };
	const page = { version: "10.0.0", "10.0.0": { stack: { getClient: () => client } } };
	vi.stubGlobal("__SENTRY__", page);
	const received = span(1);
	exporter().record([
		received,
		span(2, { parentId: received.spanId, op: "ui.react.render" }),
		span(3),
	]);
	await vi.advanceTimersByTimeAsync(1_000);
	expect(sent).toHaveLength(0);
	expect(captureEvent).toHaveBeenCalledTimes(2);
	expect(captureEvent.mock.calls[0]?.[0]).toMatchObject({
		type: "transaction",
		transaction: "useBuildWebSocket.text-delta",
		start_timestamp: 1_796_050_871.563_25,
		contexts: { trace: { parent_span_id: "b".repeat(16), op: "ui.websocket.receive" } },
		spans: [{ op: "ui.react.render", parent_span_id: received.spanId }],
		sdkProcessingMetadata: { dynamicSamplingContext: { trace_id: "t" } },
	});
});

test("a Sentry that does not trace is left alone, unless it is named", async () => {
	const captureEvent = vi.fn();
	const client = { captureEvent, getOptions: () => ({}) };
	vi.stubGlobal("__SENTRY__", {
		version: "9",
		"9": { defaultCurrentScope: { getClient: () => client } },
	});
	exporter().record([span(1)]);
	await vi.advanceTimersByTimeAsync(1_000);
	expect([sent.length, captureEvent.mock.calls.length]).toEqual([1, 0]);
	exporter({ sentry: { getClient: () => client } }).record([span(1)]);
	await vi.advanceTimersByTimeAsync(1_000);
	expect([sent.length, captureEvent.mock.calls.length]).toEqual([1, 1]);
});

test("a page's OpenTelemetry gets them as its own spans, the paint beneath the receipt", async () => {
	const made: { name: string; parent: string; endedAt?: number }[] = [];
	const startSpan = (name: string, _: object, context: { getValue(key: symbol): unknown }) => {
		const key = Symbol.for("OpenTelemetry Context Key SPAN");
		const parent = context.getValue(key) as { spanContext(): { spanId: string } };
		const one: (typeof made)[number] = { name, parent: parent.spanContext().spanId };
		const spanId = `otel ${made.push(one)}`;
		return {
			spanContext: () => ({ spanId }),
			end: (at: number) => Object.assign(one, { endedAt: at }),
		};
	};
	vi.stubGlobal("__SENTRY__", undefined);
	const api = { trace: { getTracer: () => ({ startSpan }) } };
	Object.assign(globalThis, { [Symbol.for("opentelemetry.js.api.1")]: api });
	try {
		exporter().record([span(1), span(2, { parentId: span(1).spanId, name: "react.render.Build" })]);
		await vi.advanceTimersByTimeAsync(1_000);
	} finally {
		Reflect.deleteProperty(globalThis, Symbol.for("opentelemetry.js.api.1"));
	}
	expect(sent).toHaveLength(0);
	expect(made).toEqual([
		{ name: "useBuildWebSocket.text-delta", parent: "b".repeat(16), endedAt: 1_796_050_871_564.5 },
		{ name: "react.render.Build", parent: "otel 1", endedAt: 1_796_050_871_564.5 },
	]);
});

test("a destination that throws takes nothing down", async () => {
	const client = {
		captureEvent: () => {
			throw new Error("broken");
		},
	};
	const to = exporter({ sentry: { getClient: () => client } });
	to.record([span(1)]);
	await vi.advanceTimersByTimeAsync(1_000);
	expect(to.dropped).toBe(1);
});

test("a page of another origin without a key asks for no intake that would refuse it", async () => {
	const to = new Exporter(clock, {}, () => "https://hopline.elsewhere/ws");
	to.record([span(1)]);
	await vi.advanceTimersByTimeAsync(1_000);
	expect([sent.length, to.dropped]).toEqual([0, 0]);
	const keyed = new Exporter(clock, { key: "k" }, () => "https://hopline.elsewhere/ws");
	keyed.record([span(1)]);
	await vi.advanceTimersByTimeAsync(1_000);
	expect(sent[0]?.url).toBe("https://hopline.elsewhere/v1/traces");
});
