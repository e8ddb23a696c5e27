/** Asks for a view of a question, and gives the answer with all that is needed to draw it. */

import { queryOptions } from "@tanstack/react-query";
import { serverNow } from "../../api/clock";
import { type Answer, millisOf } from "../../charts/answer";
import type { Stretch } from "../../charts/series";
import type { View } from "../../charts/views";
import { parse, type Question } from "../language/parse";
import { ask, type Language } from "./ask";
import { extentQuestion, needsStretch, type Plan, planFor } from "./plan";

/** A question, and how its answer is to be shown. */
export type Asked = { language: Language; text: string; view: View };

/** An answer, and what was asked for it. */
export type Shown = {
	answer: Answer;
	plan: Plan;
	view: View;
	/** How long it took, in milliseconds. */
	took: number;
};

/** A view that a question has no answer for; the message says what would help. */
export class CannotShow extends Error {}

/** The answer of a view, under a key that tells one asking from another. */
export function shownQuery(asked: Asked, asking: string | number = 0) {
	return queryOptions({
		queryKey: ["shown", asked, asking],
		queryFn: ({ signal }) => show(asked, signal),
		// An answer is of its moment: whoever wants a newer one asks again.
		staleTime: Number.POSITIVE_INFINITY,
		// One may have ten thousand rows.
		gcTime: 60_000,
		refetchOnWindowFocus: false,
		refetchOnReconnect: false,
	});
}

export async function show({ language, text, view }: Asked, signal?: AbortSignal): Promise<Shown> {
	const begun = performance.now();
	const plan = await planOf(language, text, view, signal);
	const answer = await ask(plan.language, plan.text, { signal });
	return { answer, plan, view, took: performance.now() - begun };
}

async function planOf(
	language: Language,
	text: string,
	view: View,
	signal: AbortSignal | undefined,
): Promise<Plan> {
	if (language === "sql") {
		if (view !== "heat") return { language, text, figures: 0 };
		throw new CannotShow("A heat map is drawn from the query language: ask for spans, not in SQL.");
	}
	const question = parse(text);
	// What is not understood here is not there either, and the server says why.
	if (!question) return { language, text, figures: 0 };
	const now = serverNow();
	const stretch = needsStretch(view, question) ? await extentOf(question, now, signal) : undefined;
	const plan = planFor(view, question, now, stretch);
	if (plan) return plan;
	// A condition that has no meaning: the server says which.
	await ask("query", extentQuestion(question), { signal });
	throw new CannotShow("This question's times or conditions cannot be drawn: show it as a table.");
}

/** From when to when there are spans of a question. */
async function extentOf(
	question: Question,
	now: number,
	signal: AbortSignal | undefined,
): Promise<Stretch> {
	const { rows } = await ask("query", extentQuestion(question), { signal });
	const [from, to] = [millisOf(rows[0]?.[0]), millisOf(rows[0]?.[1])];
	return from === null || to === null ? { from: now - 60_000, to: now } : { from, to: to + 1 };
}
