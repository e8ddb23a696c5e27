/**
 * Spans by way of the page's OpenTelemetry, found where its API keeps what is registered, so that the API is no dependency.
 */
import { type AttributeValue, allAttributes, type Destination, type FinishedSpan } from "./span.js";

interface SpanContext {
	readonly traceId: string;
	readonly spanId: string;
	readonly traceFlags: number;
	readonly isRemote?: boolean;
}

interface OtelSpan {
	spanContext(): SpanContext;
	end(at: Date | number): void;
}

interface Context {
	getValue(key: symbol): unknown;
	setValue(key: symbol, value: unknown): Context;
	deleteValue(key: symbol): Context;
}

interface SpanOptions {
	readonly kind: number;
	readonly startTime: number;
	readonly attributes: Record<string, AttributeValue>;
}

interface Tracer {
	startSpan(name: string, options: SpanOptions, context: Context): OtelSpan;
}

/** As much of OpenTelemetry's tracer provider as is used. */
export interface TracerProvider {
	getTracer(name: string): Tracer;
}

const API = Symbol.for("opentelemetry.js.api.1");
const SPAN = Symbol.for("OpenTelemetry Context Key SPAN");
const KINDS = { internal: 0, consumer: 4 };
const SAMPLED = 1;

/** The tracer provider that the page has registered; nothing if it has none. */
export function globalTracerProvider(): TracerProvider | undefined {
	const api = (globalThis as { [API]?: { trace?: TracerProvider } })[API];
	return api?.trace;
}

export class OpenTelemetryDestination implements Destination {
	readonly #tracer: Tracer;

	constructor(provider: TracerProvider) {
		this.#tracer = provider.getTracer("@hopline/react");
	}

	async send(spans: readonly FinishedSpan[], offset: number) {
		// The page's OpenTelemetry gives spans ids of its own.
		const made = new Map<string, SpanContext>();
		for (const span of spans) {
			const { traceId, parentId: spanId } = span;
			const received = { traceId, spanId, traceFlags: SAMPLED, isRemote: true };
			const parent = made.get(spanId) ?? received;
			const options = {
				kind: KINDS[span.kind],
				startTime: span.start - offset,
				attributes: allAttributes(span, offset),
			};
			const own = this.#tracer.startSpan(span.name, options, contextOf(parent));
			own.end(span.end - offset);
			made.set(span.spanId, own.spanContext());
		}
		return "taken" as const;
	}
}

/** A context with nothing but a span to be a child of. */
function contextOf(parent: SpanContext): Context {
	const values = new Map<symbol, unknown>([[SPAN, { spanContext: () => parent }]]);
	return contextWith(values);
}

function contextWith(values: ReadonlyMap<symbol, unknown>): Context {
	return {
		getValue: (key) => values.get(key),
		setValue: (key, value) => contextWith(new Map(values).set(key, value)),
		deleteValue: (key) => contextWith(new Map([...values].filter(([known]) => known !== key))),
	};
}
