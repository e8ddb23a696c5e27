/**
 * Spans by way of the page's Sentry: each receipt a transaction that goes on with the batch's trace, with its paint as a span
 * in it.
 */
import type { SentryClient, SentryLike } from "./options.js";
import { allAttributes, type Destination, type FinishedSpan } from "./span.js";

const ORIGIN = "auto.ui.hopline";

/** The Sentry client to use: that of the given Sentry, else the page's if it is one that traces. */
export function sentryClient(sentry: SentryLike | undefined): SentryClient | undefined {
	if (sentry) return sentry.getClient();
	const client = clientOfPage();
	const { tracesSampleRate, tracesSampler } = client?.getOptions?.() ?? {};
	return (tracesSampleRate ?? tracesSampler) === undefined ? undefined : client;
}

/** Where Sentry's SDK, from version 8 on, keeps what several copies of it share. */
interface SentryGlobal {
	readonly version?: string;
	readonly [version: string]: unknown;
}

interface SentryCarrier {
	readonly stack?: { getClient?: () => SentryClient | undefined };
	readonly defaultCurrentScope?: SentryLike;
}

/** The client of the page's own Sentry; nothing if it has none. */
function clientOfPage(): SentryClient | undefined {
	const page = (globalThis as { __SENTRY__?: SentryGlobal }).__SENTRY__;
	const carrier = page?.[page.version ?? ""] as SentryCarrier | undefined;
	return carrier?.stack?.getClient?.() ?? carrier?.defaultCurrentScope?.getClient?.();
}

export class SentryDestination implements Destination {
	readonly #client: SentryClient;

	constructor(client: SentryClient) {
		this.#client = client;
	}

	async send(spans: readonly FinishedSpan[], offset: number) {
		const ids = new Set(spans.map((span) => span.spanId));
		for (const root of spans) {
			if (ids.has(root.parentId)) continue;
			const children = spans.filter((span) => span.parentId === root.spanId);
			this.#client.captureEvent(transaction(root, children, offset));
		}
		return "taken" as const;
	}
}

function transaction(
	root: FinishedSpan,
	children: readonly FinishedSpan[],
	offset: number,
): object {
	return {
		type: "transaction",
		transaction: root.name,
		...times(root, offset),
		contexts: { trace: { ...ids(root), op: root.op, origin: ORIGIN, data: data(root, offset) } },
		spans: children.map((span) => ({
			...ids(span),
			...times(span, offset),
			op: span.op,
			description: span.name,
			origin: ORIGIN,
			data: data(span, offset),
		})),
		sdkProcessingMetadata: { dynamicSamplingContext: root.samplingContext },
	};
}

function ids({ traceId, spanId, parentId }: FinishedSpan): object {
	return { trace_id: traceId, span_id: spanId, parent_span_id: parentId };
}

function times({ start, end }: FinishedSpan, offset: number): object {
	return { start_timestamp: (start - offset) / 1000, timestamp: (end - offset) / 1000 };
}

function data(span: FinishedSpan, offset: number): object {
	return { ...allAttributes(span, offset), "sentry.origin": ORIGIN };
}
