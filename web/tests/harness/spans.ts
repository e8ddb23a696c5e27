/** Traces that are made up, to be sent by OTLP: for what real builds seldom have. */
import { randomBytes } from "node:crypto";

export interface MadeSpan {
	name: string;
	/** In milliseconds after the trace's start. */
	from: number;
	to: number;
	op?: string;
	service?: string;
	error?: string;
	attributes?: Readonly<Record<string, string>>;
	children?: readonly MadeSpan[];
}

export interface MadeTrace {
	traceId: string;
	/** Ids of the spans by their names; of several of a name the last one's. */
	ids: ReadonlyMap<string, string>;
	request: object;
}

const NANOS_PER_MS = 1_000_000;

/** Writes a trace that began a minute ago. */
export function makeTrace(root: MadeSpan): MadeTrace {
	const traceId = randomBytes(16).toString("hex");
	const start = BigInt(Date.now() - 60_000) * BigInt(NANOS_PER_MS);
	const ids = new Map<string, string>();
	const byService = new Map<string, object[]>();

	const add = (span: MadeSpan, service: string, parentSpanId: string | undefined) => {
		const spanId = randomBytes(8).toString("hex");
		ids.set(span.name, spanId);
		const spans = byService.get(service) ?? [];
		byService.set(service, spans);
		spans.push(written(span, { traceId, spanId, ...(parentSpanId && { parentSpanId }) }, start));
		for (const child of span.children ?? []) add(child, child.service ?? service, spanId);
	};
	add(root, root.service ?? "tests", undefined);

	const resourceSpans = Array.from(byService, ([service, spans]) => ({
		resource: { attributes: [attribute("service.name", service)] },
		scopeSpans: [{ scope: { name: "tests" }, spans }],
	}));
	return { traceId, ids, request: { resourceSpans } };
}

function written(span: MadeSpan, ids: object, start: bigint): object {
	const at = (ms: number) => String(start + BigInt(Math.round(ms * NANOS_PER_MS)));
	const attributes = { ...(span.op && { "sentry.op": span.op }), ...span.attributes };
	return {
		...ids,
		name: span.name,
		kind: 1,
		startTimeUnixNano: at(span.from),
		endTimeUnixNano: at(span.to),
		attributes: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
		status: span.error === undefined ? {} : { code: 2, message: span.error },
	};
}

function attribute(key: string, stringValue: string): object {
	return { key, value: { stringValue } };
}
