/** What a row of an answer can be followed to: a trace, a span in it, a build. */

import type { Answer } from "./answer";

export type Target =
	| { kind: "trace"; traceId: string; spanId: string | undefined }
	| { kind: "build"; sessionId: string };

const TRACE = /^[0-9a-f]{32}$/;
const SPAN = /^[0-9a-f]{16}$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const TRACES = ["trace_id", "trace"];
const SPANS = ["span_id", "id"];
const BUILDS = ["event.sessionId", "event_session_id"];

/** Whether a column has ids of traces, spans or builds. */
export function isId(column: string): boolean {
	return [...TRACES, ...SPANS, ...BUILDS, "parent_id"].includes(column);
}

/** What a cell leads to. An id that is none leads nowhere. */
export function linkOfCell(answer: Answer, row: number, column: number): Target | undefined {
	const name = answer.columns[column]?.name ?? "";
	const value = String(answer.rows[row]?.[column] ?? "");
	if (BUILDS.includes(name) && UUID.test(value)) return { kind: "build", sessionId: value };
	const isOfTrace = TRACES.includes(name) || SPANS.includes(name);
	return isOfTrace ? linkOf(answer, row) : undefined;
}

/** What a row leads to: the trace that it names, and the span if it names one. */
export function linkOf(answer: Answer, row: number): Target | undefined {
	const idIn = (names: string[]) => {
		const at = answer.columns.findIndex(({ name }) => names.includes(name));
		return String(answer.rows[row]?.[at] ?? "");
	};
	const traceId = idIn(TRACES);
	const spanId = idIn(SPANS);
	if (!TRACE.test(traceId)) return undefined;
	return { kind: "trace", traceId, spanId: SPAN.test(spanId) ? spanId : undefined };
}
