/**
 * What could stand at a place in a question: what completion offers there.
 *
 * A question under the cursor is mostly unfinished, so it is not read by the grammar but walked through, word by word,
 * up to the word being typed. Whatever is odd on the way is passed over.
 */

import { type Token, tokensOf } from "./tokens";
import { isClause } from "./words";

export type Expected =
	/** `spans` or a function. */
	| { kind: "what" }
	/** A field; in a figure it is one that is counted or measured. */
	| { kind: "field"; of: "figure" | "condition" | "by" | "order" }
	| { kind: "value"; field: string }
	| { kind: "length"; of: "per" | "since" }
	/** Another clause; behind a condition also `and` and `or`. */
	| { kind: "clause"; used: string[]; joins: boolean }
	/** One word alone. */
	| { kind: "word"; words: string[]; used: string[] }
	/** Nothing that could be offered: a mark, a number, a time. */
	| { kind: "nothing" };

export type Context = {
	expected: Expected;
	/** The part of the question that a choice would replace. */
	from: number;
	to: number;
	/** What of it is typed already, up to the cursor. */
	typed: string;
};

/** What could stand at the cursor. */
export function contextAt(text: string, cursor: number): Context {
	const tokens = tokensOf(text);
	const under = tokens.find(
		({ kind, start, end, closed }) =>
			(kind === "word" || kind === "quoted") &&
			start < cursor &&
			// Behind a quotation's end nothing of it is being typed.
			(kind === "quoted" && closed ? cursor < end : cursor <= end),
	);
	const from = under?.start ?? cursor;
	const walk = new Walk();
	for (const token of tokens) {
		if (token.end > from) break;
		walk.take(token);
	}
	const typed = text.slice(from, cursor);
	return {
		expected: walk.expected(),
		from,
		to: under?.end ?? cursor,
		typed: under?.kind === "quoted" ? typed.slice(1) : typed,
	};
}

type Where = "field" | "test" | "value" | "list" | "done";

class Walk {
	private clause = "what";
	/** The clauses that were begun. */
	private used: string[] = [];
	/** How many words of the clause were taken since its last comma. */
	private words = 0;
	private where: Where = "field";
	private field = "";
	/** Whether a figure's parenthesis is open. */
	private isOpen = false;

	take(token: Token): void {
		if (this.begins(token)) {
			this.clause = token.value.toLowerCase();
			this.used.push(this.clause);
			this.words = 0;
			this.where = "field";
			this.isOpen = false;
		} else if (this.clause === "where") {
			this.takeOfCondition(token);
		} else if (token.kind === "mark") {
			this.takeMark(token.text);
		} else {
			this.words += 1;
		}
	}

	private takeMark(mark: string): void {
		if (mark === "(") this.isOpen = true;
		else if (mark === ")") this.isOpen = false;
		else if (mark === ",") this.words = this.clause === "order" ? 1 : 0;
	}

	/** Whether a word begins a clause here, and is no field or value of that name. */
	private begins(token: Token): boolean {
		if (token.kind !== "word" || !isClause(token.value) || this.isOpen) return false;
		if (this.clause === "where") return this.where === "done" || this.where === "test";
		// `order by` is one clause.
		return this.words > 0 && !(this.clause === "order" && this.words === 1 && isBy(token));
	}

	private takeOfCondition(token: Token): void {
		const word = token.kind === "word" ? token.value.toLowerCase() : undefined;
		const isMark = token.kind === "mark";
		switch (this.where) {
			case "field":
				// `not`, `!` and parentheses leave a field to come.
				if (isMark || word === "not") return;
				this.field = token.value;
				this.where = "test";
				return;
			case "test":
				if (!isMark) this.takeField(token);
				else if (token.text !== "!") this.where = "value";
				return;
			case "value":
				if (!isMark) this.where = "done";
				else if (token.text === "[") this.where = "list";
				return;
			case "list":
				if (token.text === "]" && isMark) this.where = "done";
				return;
			case "done":
				if (word === "and" || word === "or" || token.text === "(" || token.text === "!") {
					this.where = "field";
				} else if (!isMark) this.takeField(token);
		}
	}

	private takeField(token: Token): void {
		this.field = token.value;
		this.where = "test";
	}

	expected(): Expected {
		const clause: Expected = { kind: "clause", used: this.used, joins: false };
		switch (this.clause) {
			case "where":
				return this.expectedOfCondition();
			case "by":
				return this.words === 0 ? { kind: "field", of: "by" } : clause;
			case "per":
			case "since":
				return this.words === 0 ? { kind: "length", of: this.clause } : clause;
			case "from":
				if (this.words === 1) return { kind: "word", words: ["to"], used: this.used };
				return this.words === 3 ? clause : { kind: "nothing" };
			case "limit":
				return this.words === 0 ? { kind: "nothing" } : clause;
			case "order":
				return this.expectedOfOrder();
			default:
				if (this.isOpen) return { kind: "field", of: "figure" };
				return this.words === 0 ? { kind: "what" } : clause;
		}
	}

	private expectedOfOrder(): Expected {
		if (this.words === 0) return { kind: "word", words: ["by"], used: this.used };
		if (this.isOpen) return { kind: "field", of: "figure" };
		if (this.words === 1) return { kind: "field", of: "order" };
		return { kind: "word", words: ["desc", "asc"], used: this.used };
	}

	private expectedOfCondition(): Expected {
		switch (this.where) {
			case "field":
				return { kind: "field", of: "condition" };
			case "value":
			case "list":
				return this.field.toLowerCase() === "has"
					? { kind: "field", of: "by" }
					: { kind: "value", field: this.field };
			case "done":
				return { kind: "clause", used: this.used, joins: true };
			case "test":
				return { kind: "nothing" };
		}
	}
}

const isBy = (token: Token) => token.value.toLowerCase() === "by";
