/** Spans as the hook makes them, before they take the form that their destination asks for. */

export type AttributeValue = string | number | boolean;

/** A span that has ended. Times are milliseconds since 1970 by this machine's clock, with fractions. */
export interface FinishedSpan {
	readonly traceId: string;
	readonly spanId: string;
	readonly parentId: string;
	readonly name: string;
	/** Sentry's op, which travels as the attribute `sentry.op`; empty if it has none. */
	readonly op: string;
	readonly kind: "consumer" | "internal";
	readonly start: number;
	readonly end: number;
	readonly attributes: Readonly<Record<string, AttributeValue>>;
	readonly samplingContext: Readonly<Record<string, string>>;
}

/** What became of spans that were sent. */
export type Outcome = "taken" | "refused" | "later";

/** Where spans go. Never throws. */
export interface Destination {
	/**
	 * Sends spans, whose times are `offset` milliseconds ahead of the server's. Those that belong together come together,
	 * a parent before its children. `leaving` is whether the page is about to go.
	 */
	send(spans: readonly FinishedSpan[], offset: number, leaving: boolean): Promise<Outcome>;
}

/** The attribute that says how far a clock was ahead whose times are corrected, in nanoseconds. */
export const CLOCK_OFFSET = "hopline.clock.offset_ns";

/** A span's attributes with its op, and with the mark of a corrected clock. */
export function allAttributes(span: FinishedSpan, offset: number): Record<string, AttributeValue> {
	const corrected = offset === 0 ? {} : { [CLOCK_OFFSET]: Math.round(offset * 1e6) };
	const op = span.op === "" ? {} : { "sentry.op": span.op };
	return { ...op, ...span.attributes, ...corrected };
}

/** A new span's id: 16 hexadecimal digits. */
export function newSpanId(): string {
	const bytes = crypto.getRandomValues(new Uint8Array(8));
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
