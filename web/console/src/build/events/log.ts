/** A build's log, read page by page: every event as it was received, and what became of it. */
import { queryOptions } from "@tanstack/react-query";
import { get } from "../../api/client";
import { fieldsOf } from "../activity/call";

/** One event, as the server has it. */
export interface RawEvent {
	seq: number;
	type: string;
	outcome: "committed" | "rejected" | "expired";
	/** Why, unless it was committed. */
	reason: string | null;
	receivedAt: string;
	/** None where bodies are not kept; a text if it was no JSON. */
	body?: unknown;
}

/** An event in a line. */
export interface LogLine {
	readonly seq: number;
	/** The part's type for one that carries a part of a stream. */
	readonly type: string;
	readonly outcome: RawEvent["outcome"];
	readonly summary: string;
	readonly receivedAt: string;
}

/** How many numbers a page covers. */
export const PAGE = 100;

/** A line says no more than this. */
const SUMMARY = 300;

/** What was read of a page. */
export interface LogPage {
	/** By their place in it; those that are not in the log are left open. */
	readonly lines: readonly (LogLine | undefined)[];
	/** The last number that there was. */
	readonly upTo: number;
}

/** The last number of a page, when the log ends with `end`. */
export const lastOf = (page: number, end: number) => Math.min((page + 1) * PAGE, end);

/**
 * The events with the numbers of a page, as far as the log goes, which ends with `end`. A page that is not full yet keeps its
 * lines while it is read again.
 */
export const logPageQuery = (sessionId: string, page: number, end: number) =>
	queryOptions({
		queryKey: ["build", sessionId, "events", page],
		queryFn: ({ signal }) => readPage(sessionId, page, lastOf(page, end), signal),
		staleTime: Number.POSITIVE_INFINITY,
		gcTime: 10_000,
		structuralSharing: false,
	});

async function readPage(
	sessionId: string,
	page: number,
	last: number,
	signal: AbortSignal,
): Promise<LogPage> {
	const lines: (LogLine | undefined)[] = [];
	let after = page * PAGE;
	// Large events come fewer at a time than were asked for.
	while (after < last) {
		const { events, next } = await readAfter(sessionId, after, last - after, signal);
		for (const event of events) {
			if (event.seq <= last) lines[event.seq - page * PAGE - 1] = lineOf(event);
		}
		if (next === null || events.length === 0) break;
		after = next;
	}
	return { lines, upTo: last };
}

/** One event with all that it says; none if it is not in the log. */
export const eventQuery = (sessionId: string, seq: number) =>
	queryOptions({
		queryKey: ["build", sessionId, "event", seq],
		queryFn: async ({ signal }) => {
			const { events } = await readAfter(sessionId, seq - 1, 1, signal);
			return events.find((event) => event.seq === seq) ?? null;
		},
		gcTime: 0,
		structuralSharing: false,
	});

function readAfter(sessionId: string, after: number, limit: number, signal: AbortSignal) {
	return get<{ events: RawEvent[]; next: number | null }>(
		`api/builds/${sessionId}/events?after=${after}&limit=${limit}`,
		{ signal },
	);
}

function lineOf(event: RawEvent): LogLine {
	const { seq, outcome, reason, receivedAt } = event;
	const part = partOf(event);
	const type = typeof part?.type === "string" ? part.type : event.type;
	const words = outcome === "committed" ? (summaryOf(part ?? fieldsOf(event.body)) ?? "") : reason;
	const summary = (words ?? "").slice(0, SUMMARY).replace(/\s+/g, " ");
	return { seq, type, outcome, summary, receivedAt };
}

/** The part of a stream that an event carries. */
export function partOf({ type, body }: RawEvent): Readonly<Record<string, unknown>> | undefined {
	const { data } = fieldsOf(body);
	if (type !== "build-stream" || typeof data !== "string") return undefined;
	try {
		return fieldsOf(JSON.parse(data.replace(/^data:\s*/, "")));
	} catch {
		return undefined;
	}
}

/** What an event says in a few words: of the many fields that events have, the first that tells something. */
function summaryOf(fields: Readonly<Record<string, unknown>>): string | undefined {
	const { toolName, toolCallId, delta, errorText, error, message, data, filePath, reason } = fields;
	const call = [toolName, toolCallId].filter((word) => typeof word === "string");
	if (call.length > 0) return call.join(" · ");
	const words = [delta, errorText, error, message, data, filePath, reason, fields.id];
	return words.find((word) => typeof word === "string");
}
