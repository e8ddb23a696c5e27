/**
 * What is asked for a view of a question.
 *
 * A question is one thing and how it is shown another: a line needs times, a heat map buckets of durations, a single
 * number neither. What a view needs and the question does not say is added here, and what it cannot use left out.
 */

import { type Bounds, ROWS_PER_TENFOLD } from "../../charts/heat";
import type { Stretch } from "../../charts/series";
import type { View } from "../../charts/views";
import { lengthOf, millisOf, nanosOf } from "../language/amounts";
import { timeOf, withClause, withCondition, withTime, withWhat } from "../language/clauses";
import type { ClauseName, Question } from "../language/parse";
import { sqlCondition } from "../language/sql";
import type { Language } from "./ask";

export type Plan = {
	language: Language;
	text: string;
	/** How many figures the answer has. */
	figures: number;
	/** How long a bucket of time is, in milliseconds. */
	step?: number | undefined;
	stretch?: Stretch | undefined;
};

/** The most rows that the server answers. */
const MOST_ROWS = 10_000;

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Lengths of buckets that people count in. */
const STEPS = [
	...[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30].map((count) => count * SECOND),
	...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE),
	...[1, 2, 3, 6, 12].map((count) => count * HOUR),
	...[1, 2, 7, 14, 28].map((count) => count * DAY),
];

/** The shortest step by which a stretch of time has at most so many buckets. */
export function stepFor({ from, to }: Stretch, most: number): number {
	const found = STEPS.find((step) => (to - from) / step <= most);
	return found ?? Math.ceil((to - from) / most / DAY) * DAY;
}

/** The time that a question asks about; nothing where it asks about all time. */
export function stretchOf(question: Question, now: number): Stretch | undefined {
	const time = timeOf(question);
	if (time.kind === "since") {
		const length = nanosOf(time.length);
		return length === undefined ? undefined : { from: now - length / 1e6, to: now };
	}
	const from = time.kind === "between" ? millisOf(time.from) : undefined;
	const to = time.kind === "between" && time.to !== undefined ? millisOf(time.to) : now;
	return from === undefined || to === undefined ? undefined : { from, to };
}

/** Whether a view needs to know from when to when there are spans, since the question does not say. */
export function needsStretch(view: View, question: Question): boolean {
	const isOfTime = view === "heat" || (view === "series" && question.per === undefined);
	return isOfTime && timeOf(question).kind === "all";
}

/** Asks from when to when there are spans of a question. */
export function extentQuestion(question: Question): string {
	const spans = without(question, ["by", "per", "order", "limit"]);
	return withWhat(spans, "min(start), max(start)").text;
}

/** What is asked for a view. `stretch` is the time that it shows. */
export function planFor(
	view: View,
	question: Question,
	now: number,
	stretch = stretchOf(question, now),
): Plan | undefined {
	switch (view) {
		case "table":
			return inLanguage(question);
		case "number":
			return inLanguage(without(asFigures(question), ["by", "per", "order", "limit"]));
		case "top":
			return inLanguage(
				question.per === undefined ? question : without(question, ["per", "order"]),
			);
		case "series":
			return seriesPlan(question, stretch);
		case "heat":
			return heatPlan(question, now, stretch);
	}
}

function inLanguage(question: Question): Plan {
	return { language: "query", text: question.text, figures: question.figures.length };
}

function seriesPlan(question: Question, stretch: Stretch | undefined): Plan | undefined {
	if (question.per !== undefined) {
		const nanos = nanosOf(question.per);
		return {
			...inLanguage(question),
			step: nanos === undefined ? undefined : nanos / 1e6,
			stretch,
		};
	}
	if (!stretch) return undefined;
	const step = stepFor(stretch, 120);
	const figures = without(asFigures(question), ["order", "limit"]);
	const per = withClause(figures, "per", `per ${lengthOf(step * 1e6)}`);
	return { ...inLanguage(withClause(per, "limit", `limit ${MOST_ROWS}`)), step, stretch };
}

/** Of durations there are no buckets in the query language, but in SQL there are. */
function heatPlan(question: Question, now: number, stretch: Stretch | undefined): Plan | undefined {
	const condition = sqlCondition(question, now);
	if (!stretch || condition === undefined) return undefined;
	const step = stepFor(stretch, 100);
	const text = [
		`select date_bin(interval '${step} milliseconds', start) as time,`,
		`cast(floor(log10(duration_ns) * ${ROWS_PER_TENFOLD}) as bigint) as bucket, sum(weight) as spans`,
		`from spans where duration_ns > 0 and ${condition}`,
		"group by 1, 2 order by 1, 2",
	].join(" ");
	return { language: "sql", text, figures: 1, step, stretch };
}

/** The spans of a region of a question's heat map, the longest first. */
export function regionQuestion(question: Question, bounds: Bounds): string {
	const { from, to, shortest, longest } = bounds;
	const spans = withWhat(without(question, ["by", "per", "order", "limit"]), "spans");
	const durations = withCondition(spans, `duration>=${shortest}ns and duration<${longest}ns`);
	const range = { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
	const timed = withTime(durations, { kind: "between", ...range });
	return withClause(timed, "order", "order by duration desc").text;
}

/** Of spans themselves, how many they are. */
function asFigures(question: Question): Question {
	if (question.figures.length > 0) return question;
	return withWhat(without(question, ["order"]), "count(spans)");
}

function without(question: Question, clauses: ClauseName[]): Question {
	return clauses.reduce((left, name) => withClause(left, name, undefined), question);
}
