/** Spans straight to Hopline: OTLP in JSON, by way of `fetch`. */
import {
	type AttributeValue,
	allAttributes,
	type Destination,
	type FinishedSpan,
	type Outcome,
} from "./span.js";

/** OpenTelemetry's numbers of span kinds. */
const KINDS = { internal: 1, consumer: 5 };

/** Answers that mean that the same may be taken later. */
const LATER = new Set([408, 429, 502, 503, 504]);

export interface Hopline {
	readonly url: string;
	readonly key: string | undefined;
	readonly service: string;
}

/** One for each time that a page is loaded, as it is a process of its own. */
let instance: string | undefined;

export class HoplineDestination implements Destination {
	readonly #hopline: Hopline;

	constructor(hopline: Hopline) {
		this.#hopline = hopline;
	}

	async send(spans: readonly FinishedSpan[], offset: number, leaving: boolean): Promise<Outcome> {
		const { url, key, service } = this.#hopline;
		const body = JSON.stringify(document(spans, offset, service));
		const headers: Record<string, string> = { "content-type": "application/json" };
		if (key !== undefined) headers.authorization = `Bearer ${key}`;
		try {
			const credentials = key === undefined ? "same-origin" : "omit";
			const init = { method: "POST", headers, body, credentials, keepalive: leaving } as const;
			const { ok, status } = await fetch(url, init);
			return ok ? "taken" : LATER.has(status) ? "later" : "refused";
		} catch {
			return "later";
		}
	}
}

function document(spans: readonly FinishedSpan[], offset: number, service: string): object {
	instance ??= crypto.getRandomValues(new Uint32Array(4)).join("-");
	const resource = {
		"service.name": service,
		"service.instance.id": instance,
		"telemetry.sdk.name": "@hopline/react",
		"telemetry.sdk.language": "webjs",
	};
	const scope = { name: "@hopline/react" };
	const scopeSpans = [{ scope, spans: spans.map((span) => spanJson(span, offset)) }];
	return { resourceSpans: [{ resource: { attributes: attributes(resource) }, scopeSpans }] };
}

function spanJson(span: FinishedSpan, offset: number): object {
	return {
		traceId: span.traceId,
		spanId: span.spanId,
		parentSpanId: span.parentId,
		name: span.name,
		kind: KINDS[span.kind],
		startTimeUnixNano: nanos(span.start - offset),
		endTimeUnixNano: nanos(span.end - offset),
		attributes: attributes(allAttributes(span, offset)),
	};
}

function attributes(of: Readonly<Record<string, AttributeValue>>): object[] {
	return Object.entries(of).map(([key, value]) => ({ key, value: anyValue(value) }));
}

function anyValue(value: AttributeValue): object {
	if (typeof value === "string") return { stringValue: value };
	if (typeof value === "boolean") return { boolValue: value };
	return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}

/** Nanoseconds as text: more digits than a number holds. */
function nanos(millis: number): string {
	const whole = Math.floor(millis);
	const fraction = Math.min(Math.round((millis - whole) * 1e6), 999_999);
	return `${whole}${String(fraction).padStart(6, "0")}`;
}
