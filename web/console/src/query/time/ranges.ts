/** Stretches of time that are often asked about, and how any is called. */

import { formatSpan } from "../../charts/values";
import { formatTime } from "../../ui";
import { millisOf } from "../language/amounts";
import type { TimeRange } from "../language/clauses";

const NAMED: Record<string, string> = {
	"5m": "Last 5 minutes",
	"15m": "Last 15 minutes",
	"1h": "Last hour",
	"6h": "Last 6 hours",
	"24h": "Last 24 hours",
	"7d": "Last 7 days",
	"30d": "Last 30 days",
};

/** What can be chosen with one press. */
export const RANGES: { range: TimeRange; name: string }[] = [
	...Object.entries(NAMED).map(([length, name]) => ({
		range: { kind: "since" as const, length },
		name,
	})),
	{ range: { kind: "all" }, name: "All time" },
];

/** What a range is called at the time `now`. */
export function rangeName(range: TimeRange, now: number): string {
	switch (range.kind) {
		case "all":
			return "All time";
		case "since":
			return NAMED[range.length] ?? `Last ${range.length}`;
		case "between": {
			const from = millisOf(range.from);
			const to = range.to === undefined ? undefined : millisOf(range.to);
			if (from === undefined) return `From ${range.from}`;
			return to === undefined ? `From ${formatTime(from, now)}` : formatSpan(from, to, now);
		}
	}
}

/** Whether two ranges are the same. */
export function sameRange(one: TimeRange, other: TimeRange): boolean {
	return JSON.stringify(one) === JSON.stringify(other);
}

/** A range between two times in milliseconds since 1970. */
export function between(from: number, to: number): TimeRange {
	return { kind: "between", from: new Date(from).toISOString(), to: new Date(to).toISOString() };
}

/** A time as a field for local times has it, to the second. */
export function toLocal(millis: number): string {
	const zone = new Date(millis).getTimezoneOffset() * 60_000;
	return new Date(millis - zone).toISOString().slice(0, 19);
}

/** The time that such a field says, or nothing while it is empty. */
export function fromLocal(text: string): number | undefined {
	const millis = new Date(text).getTime();
	return text === "" || Number.isNaN(millis) ? undefined : millis;
}
