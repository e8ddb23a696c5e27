/** What people want to know of a tool call at a glance: how it stands, what it was about, how long it took. */
import type { ToolCall } from "@hopline/react";

/** How a call stands; `unanswered` once the build has ended without an answer to it. */
export type CallStanding = "running" | "done" | "failed" | "unanswered";

export function standingOf(call: ToolCall, isBuildActive: boolean): CallStanding {
	if (call.state === "input-available") return isBuildActive ? "running" : "unanswered";
	return failureOf(call) === undefined ? "done" : "failed";
}

/** What is said of a call that failed; nothing of any other. */
export function failureOf(call: ToolCall): string | undefined {
	if (call.state === "output-error") {
		return typeof call.output === "string" ? call.output : JSON.stringify(call.output ?? null);
	}
	const { exitCode, signal, stderr } = fieldsOf(call.output);
	const isExit = typeof exitCode === "number" && exitCode !== 0;
	if (!isExit && typeof signal !== "string" && typeof signal !== "number") return undefined;
	const ended = isExit ? `Ended with exit code ${exitCode}` : `Ended by signal ${signal}`;
	const last = typeof stderr === "string" ? stderr.trimEnd().split("\n").at(-1) : undefined;
	return last ? `${ended}: ${last}` : ended;
}

/** How long a call took, in milliseconds; nothing if it has not ended, or only its end was seen. */
export function durationOf(call: ToolCall): number | undefined {
	if (call.startTime === null || call.endTime === null) return undefined;
	return Math.max(0, Date.parse(call.endTime) - Date.parse(call.startTime));
}

/** Fields that say what a call is about, the most telling first. */
const TELLING = [
	"description",
	"command",
	"run",
	"file_path",
	"filePath",
	"path",
	"pattern",
	"query",
	"url",
	"prompt",
	"name",
] as const;

const LONGEST_SUMMARY = 240;

/** A call's input in a line. */
export function summaryOf({ input }: ToolCall): string {
	if (typeof input === "string") return oneLine(input);
	const fields = fieldsOf(input);
	const plan = planSummary(fields.todos);
	if (plan !== undefined) return plan;
	for (const key of TELLING) {
		const value = fields[key];
		if (typeof value === "string" && value !== "") return oneLine(value);
		if (Array.isArray(value) && value.every((word) => typeof word === "string")) {
			return oneLine(value.join(" "));
		}
	}
	return input === undefined || Object.keys(fields).length === 0
		? ""
		: oneLine(JSON.stringify(input));
}

/** "2 of 5 done", if it is a plan. */
function planSummary(todos: unknown): string | undefined {
	if (!Array.isArray(todos) || todos.length === 0) return undefined;
	const done = todos.filter((todo) => fieldsOf(todo).status === "completed").length;
	return `${done} of ${todos.length} done`;
}

/** The members of an object; none of anything else. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
	const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
	return isObject ? (value as Record<string, unknown>) : {};
}

function oneLine(text: string): string {
	const line = text
		.slice(0, LONGEST_SUMMARY * 2)
		.replace(/\s+/g, " ")
		.trim();
	return line.length > LONGEST_SUMMARY ? `${line.slice(0, LONGEST_SUMMARY)}…` : line;
}
