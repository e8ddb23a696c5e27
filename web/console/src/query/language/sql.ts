/**
 * Writes the spans that a question is about as a condition in SQL.
 *
 * The query language has no buckets of durations, and a heat map is made of nothing else; SQL has. Fields and
 * conditions mean what they mean to the server (`docs/queries.md`, and `docs/spans.md` for the columns).
 */

import { millisOf, nanosOf, numberOf } from "./amounts";
import type { Condition, Question } from "./parse";
import { sameField } from "./words";

type Kind = "text" | "status" | "number" | "duration" | "milliseconds" | "time" | "attribute";

/** Fields with a column of their own. */
const COLUMNS: Record<string, [column: string, kind: Kind]> = {
	op: ["op", "text"],
	name: ["name", "text"],
	status: ["status", "status"],
	status_message: ["status_message", "text"],
	duration: ["duration_ns", "duration"],
	start: ["start", "time"],
	service: ["service", "text"],
	kind: ["kind", "text"],
	trace_id: ["trace_id", "text"],
	span_id: ["span_id", "text"],
	parent_id: ["parent_id", "text"],
	weight: ["weight", "number"],
	record: ["record", "text"],
	"event.type": ["event_type", "text"],
	"event.projectId": ["event_project_id", "text"],
	"event.commandId": ["event_command_id", "text"],
	"event.sessionId": ["event_session_id", "text"],
	"event.seq": ["event_seq", "number"],
	"db.system.name": ["db_system", "text"],
	"db.operation.name": ["db_operation", "text"],
	"db.collection.name": ["db_collection", "text"],
	"db.query.summary": ["db_summary", "text"],
	"error.type": ["error_type", "text"],
	"db.operation.batch.size": ["batch_size", "number"],
	"hopline.shared_by": ["shared_by", "number"],
	"messaging.batch.message_count": ["message_count", "number"],
	"hopline.queue.wait_ms": ["queue_wait_ms", "milliseconds"],
};

/** Attributes whose column holds numbers alone: values of another type are among the other attributes. */
const MIXED = new Set([
	"db.operation.batch.size",
	"hopline.shared_by",
	"messaging.batch.message_count",
	"hopline.queue.wait_ms",
]);

/** Something that a condition says cannot be said in SQL: such as a text where a number belongs. */
class NotSayable extends Error {}

/** The spans a question is about as a condition in SQL, or nothing if it cannot be said. `now` is in ms since 1970. */
export function sqlCondition(question: Question, now: number): string | undefined {
	try {
		return conditionsOf(question, now).join(" and ");
	} catch (error) {
		if (error instanceof NotSayable) return undefined;
		throw error;
	}
}

function conditionsOf(question: Question, now: number): string[] {
	const all = timeConditions(question, now);
	const mentioned = question.figures.flatMap(({ field }) => (field === undefined ? [] : [field]));
	mentioned.push(...question.by);
	if (question.condition) {
		all.push(written(question.condition));
		collectFields(question.condition, mentioned);
	}
	// Errors and logs are no spans; whoever asks for them names them.
	if (!mentioned.some((name) => sameField(name) === "record")) all.push("record is null");
	if (mentioned.some((name) => name.startsWith("transaction."))) {
		all.push(
			"(parent_id is null or kind in ('server', 'consumer') or attributes['sentry.is_segment'] = 'true')",
		);
	}
	return all;
}

function timeConditions({ since, from, to }: Question, now: number): string[] {
	const all: string[] = [];
	if (since !== undefined) {
		const length = nanosOf(since);
		if (length === undefined) throw new NotSayable();
		all.push(`start >= ${instant(now - length / 1e6)}`);
	}
	for (const [time, comparison] of [
		[from, ">="],
		[to, "<"],
	] as const) {
		if (time === undefined) continue;
		const millis = millisOf(time);
		if (millis === undefined) throw new NotSayable();
		all.push(`start ${comparison} ${instant(millis)}`);
	}
	return all;
}

/** A point in time. */
function instant(millis: number): string {
	return `timestamp ${quoted(new Date(millis).toISOString())}`;
}

function collectFields(condition: Condition, into: string[]): void {
	if ("field" in condition) into.push(condition.field);
	else for (const one of [condition.of].flat()) collectFields(one, into);
}

function written(condition: Condition): string {
	switch (condition.kind) {
		case "all":
			return `(${condition.of.map(written).join(" and ")})`;
		case "any":
			return `(${condition.of.map(written).join(" or ")})`;
		case "not":
			// What is not there is not what was asked for.
			return `(${written(condition.of)}) is not true`;
		case "has":
			return `${fieldOf(condition.field).value} is not null`;
		case "is": {
			const any = condition.patterns.map((pattern) => isLike(condition.field, pattern));
			return any.length === 1 ? (any[0] ?? "") : `(${any.join(" or ")})`;
		}
		case "compare": {
			const { value, kind } = fieldOf(condition.field);
			const compared = kind === "attribute" ? `try_cast(${value} as double)` : value;
			return `${compared} ${condition.comparison} ${amount(kind, condition.amount)}`;
		}
	}
}

function fieldOf(name: string): { value: string; kind: Kind } {
	const own = sameField(name);
	const [column, kind] = COLUMNS[own] ?? [`attributes[${quoted(own)}]`, "attribute" as const];
	if (!MIXED.has(own)) return { value: column, kind };
	const other = `try_cast(attributes[${quoted(own)}] as double)`;
	return { value: `coalesce(cast(${column} as double), ${other})`, kind };
}

function isLike(field: string, pattern: string): string {
	const { value, kind } = fieldOf(field);
	const pieces = piecesOf(pattern);
	const isText = kind === "text" || kind === "status" || kind === "attribute";
	if (pieces.length > 1) {
		const text = isText ? value : `cast(${value} as varchar)`;
		const like = pieces.map((piece) => piece.replaceAll(/[\\%_]/g, "\\$&")).join("%");
		return `${text} like ${quoted(like)} escape '\\'`;
	}
	const text = pieces[0] ?? "";
	if (kind === "status" && text === "ok") return "(status is null or status = 'ok')";
	if (kind === "status" && text === "unset") return "status is null";
	return `${value} = ${isText ? quoted(text) : amount(kind, text)}`;
}

/** The texts between a pattern's stars. A star behind a backslash is one itself. */
function piecesOf(pattern: string): string[] {
	const pieces = [""];
	for (const [piece] of pattern.matchAll(/\\\*|\*|[^*\\]+|\\/g)) {
		if (piece === "*") pieces.push("");
		else pieces[pieces.length - 1] += piece === "\\*" ? "*" : piece;
	}
	return pieces;
}

/** What a field is compared with, in its own unit. */
function amount(kind: Kind, text: string): string {
	const number = numberOf(text);
	const nanos = nanosOf(text);
	if (kind === "duration") {
		// Milliseconds where nothing is said.
		const length = number === undefined ? nanos : number * 1e6;
		if (length !== undefined) return String(Math.round(length));
	} else if (kind === "time") {
		const millis = millisOf(text);
		if (millis !== undefined) return `timestamp ${quoted(text.toUpperCase())}`;
	} else if (kind === "milliseconds" && nanos !== undefined) {
		return String(nanos / 1e6);
	} else if (kind !== "text" && kind !== "status" && number !== undefined) {
		return String(number);
	}
	throw new NotSayable();
}

function quoted(text: string): string {
	return `'${text.replaceAll("'", "''")}'`;
}
