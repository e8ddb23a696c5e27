/**
 * A trace as the server tells it in short, `GET /api/traces/{id}?format=outline`: every span, in columns, with what a
 * waterfall draws and nothing else. What one span carries beyond it is asked for by itself.
 */

/** Bits of `spans.flags`. */
export const Flag = {
	/** It has begun and not ended yet, as far as the server knows. */
	pending: 1,
	/** It names a parent, and the trace has no such span. */
	orphan: 2,
	links: 4,
	/** Span events: exceptions, retries. */
	events: 8,
	/** Its times come from a remote clock and were corrected. */
	skewed: 16,
} as const;

/** Values of `spans.status`. */
export const Status = { unset: 0, ok: 1, error: 2 } as const;

export interface OutlineSpans {
	id: string[];
	/** Row of the parent, or -1. A parent may come after its child. */
	parent: number[];
	/** Indices into the outline's `names`, `ops`, `services` and `kinds`. */
	name: number[];
	op: number[];
	service: number[];
	kind: number[];
	/** Nanoseconds after `startNanos`. Rows are sorted by it. */
	start: number[];
	duration: number[];
	status: number[];
	flags: number[];
	/** `event.seq`, or 0. */
	seq: number[];
}

/** An error or a line of a log that belongs to the trace without being a span. */
export interface OutlineRecord {
	id: string;
	/** Row of the span in which it happened, or -1. */
	parent: number;
	kind: "event" | "log";
	/** Nanoseconds after `startNanos`. */
	at: number;
	level: string;
	message: string;
}

/** Spans that stand under others beside their own parent: they did their work for these too. */
export interface OutlineLinked {
	spans: number[];
	under: number[];
}

export interface Outline {
	traceId: string;
	/** The earliest start, in nanoseconds since 1970: text, as it is beyond 53 bits. */
	startNanos: string;
	buildId?: string;
	sessionId?: string;
	projectId?: string;
	names: string[];
	ops: string[];
	services: string[];
	kinds: string[];
	spans: OutlineSpans;
	toolCalls: Record<string, number[]>;
	linked?: OutlineLinked[];
	records: OutlineRecord[];
	/** What is known to be missing. */
	missing?: {
		/** Spans that their makers say they had to drop. */
		dropped?: number;
		/** Spans that the server has, and has left out since the trace is too large. */
		leftOut?: number;
	};
}

/** Levels as Sentry's SDKs and OpenTelemetry's severities name them. */
export function isErrorLevel(level: string): boolean {
	return /fatal|error|critical/i.test(level);
}
