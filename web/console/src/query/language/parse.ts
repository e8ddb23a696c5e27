/**
 * Reads a question of the query language, so that the console can rewrite its clauses and draw its conditions' spans.
 *
 * The grammar is the server's (`docs/queries.md`). A question that is not understood gives nothing: it is asked as it
 * stands, and the server tells what is wrong with it and where.
 */

import { type Mark, type Token, tokensOf } from "./tokens";
import { isClause, isFunction } from "./words";

export type Comparison = ">" | ">=" | "<" | "<=";

export type Condition =
	| { kind: "all" | "any"; of: Condition[] }
	| { kind: "not"; of: Condition }
	| { kind: "is"; field: string; patterns: string[] }
	| { kind: "compare"; field: string; comparison: Comparison; amount: string }
	| { kind: "has"; field: string };

export type Figure = { function: string; field: string | undefined; text: string };

export type ClauseName = "where" | "by" | "per" | "since" | "from" | "order" | "limit";

/** A clause and its place in the question, from its first word to behind its last. */
export type Clause = { name: ClauseName; start: number; end: number };

export type Question = {
	text: string;
	/** The figures asked for; none where spans themselves are. */
	figures: Figure[];
	/** Behind the last word of what is asked for. */
	whatEnd: number;
	clauses: Clause[];
	condition: Condition | undefined;
	/** The condition as it is written, without `where`. */
	conditionText: string | undefined;
	by: string[];
	per: string | undefined;
	since: string | undefined;
	from: string | undefined;
	to: string | undefined;
	limit: string | undefined;
};

/** Not understood: thrown within this file alone. */
class NotUnderstood extends Error {}

/** As on the server: deeper conditions are refused. */
const MAX_DEPTH = 64;

/** What a question says, or nothing if it is not understood. */
export function parse(text: string): Question | undefined {
	try {
		return new Parser(text).question();
	} catch (error) {
		if (error instanceof NotUnderstood) return undefined;
		throw error;
	}
}

class Parser {
	private readonly tokens: Token[];
	private next = 0;
	private depth = 0;

	constructor(private readonly text: string) {
		this.tokens = tokensOf(text);
	}

	question(): Question {
		const figures = this.what();
		const question: Question = {
			text: this.text,
			figures,
			whatEnd: this.lastEnd(),
			clauses: [],
			condition: undefined,
			conditionText: undefined,
			by: [],
			per: undefined,
			since: undefined,
			from: undefined,
			to: undefined,
			limit: undefined,
		};
		while (this.peek()) this.clause(question);
		return question;
	}

	private what(): Figure[] {
		const first = this.peek();
		if (first?.value.toLowerCase() === "spans" && !this.isMark("(", 1)) {
			this.next += 1;
			return [];
		}
		return this.list(() => this.figure());
	}

	private figure(): Figure {
		const start = this.peek()?.start ?? 0;
		const name = this.word();
		if (!isFunction(name)) throw new NotUnderstood();
		this.require("(");
		const field = this.isMark(")") ? undefined : this.field();
		this.require(")");
		const text = this.text.slice(start, this.lastEnd());
		return { function: name.toLowerCase(), field: field === "spans" ? undefined : field, text };
	}

	private clause(question: Question): void {
		const start = this.peek()?.start ?? 0;
		const name = this.word().toLowerCase();
		if (!isClause(name)) throw new NotUnderstood();
		this.clauseOf(name as ClauseName, question);
		question.clauses.push({ name: name as ClauseName, start, end: this.lastEnd() });
	}

	private clauseOf(name: ClauseName, question: Question): void {
		switch (name) {
			case "where": {
				const start = this.peek()?.start ?? 0;
				question.condition = this.any();
				question.conditionText = this.text.slice(start, this.lastEnd());
				return;
			}
			case "by":
				question.by = this.list(() => this.field());
				return;
			case "per":
			case "since":
			case "limit":
				question[name] = this.word();
				return;
			case "from":
				question.from = this.value();
				if (this.takeWord("to")) question.to = this.value();
				return;
			case "order":
				if (!this.takeWord("by")) throw new NotUnderstood();
				this.list(() => this.order());
		}
	}

	private order(): void {
		if (this.isMark("(", 1)) this.figure();
		else this.field();
		if (!this.takeWord("desc")) this.takeWord("asc");
	}

	private any(): Condition {
		const of = [this.all()];
		while (this.takeWord("or")) of.push(this.all());
		return oneOr("any", of);
	}

	private all(): Condition {
		const of = [this.one()];
		while (this.takeWord("and") || this.beginsCondition()) of.push(this.one());
		return oneOr("all", of);
	}

	/** `and` may be left out between conditions: whether another one begins. */
	private beginsCondition(): boolean {
		const token = this.peek();
		if (token?.kind === "quoted" || this.isMark("(") || this.isMark("!")) return true;
		if (token?.kind !== "word") return false;
		const after = this.peek(1);
		const isTest = after?.kind === "mark" && [":", "=", ">", ">=", "<", "<="].includes(after.text);
		const isNegated = this.isMark("!", 1) && (this.isMark(":", 2) || this.isMark("=", 2));
		return isTest || isNegated || token.value.toLowerCase() === "not";
	}

	private one(): Condition {
		this.depth += 1;
		if (this.depth > MAX_DEPTH) throw new NotUnderstood();
		const condition = this.oneNested();
		this.depth -= 1;
		return condition;
	}

	private oneNested(): Condition {
		if (this.takeWord("not") || this.takeMark("!")) return { kind: "not", of: this.one() };
		if (this.takeMark("(")) {
			const inner = this.any();
			this.require(")");
			return inner;
		}
		const isWord = this.peek()?.kind === "word";
		const field = this.field();
		if (isWord && field.toLowerCase() === "has" && this.takeMark(":")) {
			return { kind: "has", field: this.field() };
		}
		const isNot = this.takeMark("!");
		const condition = this.test(field, isNot);
		return isNot ? { kind: "not", of: condition } : condition;
	}

	private test(field: string, isNot: boolean): Condition {
		const comparison = isNot ? undefined : this.takeComparison();
		if (comparison) return { kind: "compare", field, comparison, amount: this.value() };
		if (!this.takeMark(":")) this.require("=");
		// As Sentry writes it: `span.duration:>500ms`.
		const after = this.takeComparison();
		if (after) return { kind: "compare", field, comparison: after, amount: this.value() };
		return { kind: "is", field, patterns: this.patterns() };
	}

	private patterns(): string[] {
		if (!this.takeMark("[")) return [this.value()];
		const patterns = this.list(() => this.value());
		this.require("]");
		return patterns;
	}

	private takeComparison(): Comparison | undefined {
		for (const comparison of [">", ">=", "<", "<="] as const) {
			if (this.takeMark(comparison)) return comparison;
		}
		return undefined;
	}

	private list<T>(one: () => T): T[] {
		const all = [one()];
		while (this.takeMark(",")) all.push(one());
		return all;
	}

	private word(): string {
		const token = this.peek();
		if (token?.kind !== "word") throw new NotUnderstood();
		this.next += 1;
		return token.value;
	}

	private value(): string {
		const token = this.peek();
		const isValue = token?.kind === "word" || (token?.kind === "quoted" && token.closed);
		if (!token || !isValue) throw new NotUnderstood();
		this.next += 1;
		return token.value;
	}

	private field(): string {
		const field = this.value();
		if (field === "") throw new NotUnderstood();
		return field;
	}

	private peek(ahead = 0): Token | undefined {
		return this.tokens[this.next + ahead];
	}

	private lastEnd(): number {
		return this.tokens[this.next - 1]?.end ?? 0;
	}

	private isMark(mark: Mark, ahead = 0): boolean {
		const token = this.peek(ahead);
		return token?.kind === "mark" && token.text === mark;
	}

	private takeMark(mark: Mark): boolean {
		const isNext = this.isMark(mark);
		if (isNext) this.next += 1;
		return isNext;
	}

	private takeWord(word: string): boolean {
		const token = this.peek();
		const isNext = token?.kind === "word" && token.value.toLowerCase() === word;
		if (isNext) this.next += 1;
		return isNext;
	}

	private require(mark: Mark): void {
		if (!this.takeMark(mark)) throw new NotUnderstood();
	}
}

function oneOr(kind: "all" | "any", of: Condition[]): Condition {
	const [only] = of;
	return of.length === 1 && only ? only : { kind, of };
}
