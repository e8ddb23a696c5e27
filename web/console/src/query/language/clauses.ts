/** Rewrites a question's clauses and leaves the rest of it as it was typed. */

import { type ClauseName, parse, type Question } from "./parse";
import { writtenField } from "./tokens";

/** Which time is asked about: so long before now, between two times, or all there is. */
export type TimeRange =
	| { kind: "all" }
	| { kind: "since"; length: string }
	| { kind: "between"; from: string; to: string | undefined };

/** The clauses in the order in which a new one is put. */
const ORDER: ClauseName[] = ["where", "by", "per", "since", "from", "order", "limit"];

/** A question with a clause, its first word included, in place of its own; `undefined` removes it. */
export function withClause(
	question: Question,
	name: ClauseName,
	clause: string | undefined,
): Question {
	const { text } = question;
	const own = question.clauses.find((other) => other.name === name);
	if (own) {
		const before = text.slice(0, own.start);
		const after = text.slice(own.end);
		if (clause !== undefined) return reread(before + clause + after);
		// The blanks that stood around it become the ones before it.
		return reread(after.trim() === "" ? before.trimEnd() : before + after.trimStart());
	}
	if (clause === undefined) return question;
	const rank = ORDER.indexOf(name);
	const earlier = question.clauses.filter((other) => ORDER.indexOf(other.name) < rank);
	const at = Math.max(question.whatEnd, ...earlier.map((other) => other.end));
	return reread(`${text.slice(0, at)} ${clause}${text.slice(at)}`);
}

/** A question that asks for something else of the same spans. */
export function withWhat(question: Question, what: string): Question {
	const start = question.text.length - question.text.trimStart().length;
	return reread(question.text.slice(0, start) + what + question.text.slice(question.whatEnd));
}

/** A question about spans for which this holds too. */
export function withCondition(question: Question, condition: string): Question {
	const own = question.conditionText;
	const isOne = own === undefined || question.condition?.kind !== "any";
	const joined = own === undefined ? condition : `${isOne ? own : `(${own})`} and ${condition}`;
	return withClause(question, "where", `where ${joined}`);
}

/** The time that a question asks about. */
export function timeOf(question: Question): TimeRange {
	const { since, from, to } = question;
	if (since !== undefined) return { kind: "since", length: since };
	if (from !== undefined) return { kind: "between", from, to };
	return { kind: "all" };
}

/** A question about another time. */
export function withTime(question: Question, range: TimeRange): Question {
	switch (range.kind) {
		case "all":
			return withClause(withClause(question, "since", undefined), "from", undefined);
		case "since": {
			const without = withClause(question, "from", undefined);
			return withClause(without, "since", `since ${range.length}`);
		}
		case "between": {
			const without = withClause(question, "since", undefined);
			const to = range.to === undefined ? "" : ` to ${writtenField(range.to)}`;
			return withClause(without, "from", `from ${writtenField(range.from)}${to}`);
		}
	}
}

/** Rewritten clauses are read again: places in them have moved. */
function reread(text: string): Question {
	const question = parse(text);
	if (!question) throw new Error(`a rewritten question is not understood: ${text}`);
	return question;
}
