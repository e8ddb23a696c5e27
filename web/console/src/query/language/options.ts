/** What completion offers at a place, the likeliest first. */

import type { Context, Expected } from "./context";
import { writtenField, writtenValue } from "./tokens";
import { CLAUSES, type Described, FIELDS, FUNCTIONS, JOINERS, LENGTHS, VALUES } from "./words";

export type Option = {
	label: string;
	/** What it is, in a few words. */
	about?: string | undefined;
	kind: "function" | "keyword" | "field" | "value" | "length";
	/** What is put in place of what was typed. */
	insert: string;
	/** Whether something more belongs behind it, that can be offered at once. */
	goesOn: boolean;
};

/** A value that spans have in a field, and how many have it. */
export type SeenValue = { value: string; count: number };

/** What is known of the stored spans. */
export type Seen = {
	/** Fields that spans were seen to have. */
	fields: readonly string[];
	/** Values of the field that a value is expected of. */
	values: readonly SeenValue[];
};

/** More are of no help: typing another letter is. */
const MOST = 50;

/** Fields that are compared and not matched. */
const MEASURED = new Set(["duration", "span.duration", "transaction.duration", "start"]);

/** What can be offered, for what is typed so far. `after` is what stands behind it in the question. */
export function optionsFor(context: Context, seen: Seen, after = ""): Option[] {
	const all = optionsOf(context.expected, seen, after, context.typed !== "");
	const options = matching(all, context.typed);
	// What is typed in full already needs no offer.
	const [only] = options;
	const isTyped = options.length === 1 && only?.insert.trim() === context.typed;
	return isTyped ? [] : options;
}

function optionsOf(expected: Expected, seen: Seen, after: string, isTyping: boolean): Option[] {
	switch (expected.kind) {
		case "what":
			return [spans(), ...FUNCTIONS.map((described) => functionOf(described, after))];
		case "field":
			return fields(expected.of, seen, after);
		case "value":
			return values(expected.field, seen);
		case "length":
			return LENGTHS[expected.of].map((label) => plain(label, "length"));
		case "word":
			return [...expected.words.map((word) => keyword(word)), ...clauses(expected.used)];
		case "clause": {
			const joiners = expected.joins ? JOINERS.map(({ name, about }) => keyword(name, about)) : [];
			const offered = [...joiners, ...clauses(expected.used)];
			// A condition may follow another without `and`.
			const isCondition = expected.joins && isTyping;
			return isCondition ? [...offered, ...fields("condition", seen, after)] : offered;
		}
		case "nothing":
			return [];
	}
}

function spans(): Option {
	return { ...plain("spans", "function"), about: "the spans themselves", insert: "spans " };
}

function functionOf({ name, about }: Described, after: string): Option {
	const whole: Record<string, string> = { count: "count(spans)", failure_rate: "failure_rate()" };
	const isOpen = after.startsWith("(");
	const insert = isOpen ? name : (whole[name] ?? `${name}(`);
	return { label: name, about, kind: "function", insert, goesOn: insert.endsWith("(") };
}

function keyword(name: string, about?: string): Option {
	const written = name === "order" ? "order by" : name;
	return { label: written, about, kind: "keyword", insert: `${written} `, goesOn: true };
}

/** The clauses that are not there yet. One time is enough, too. */
function clauses(used: string[]): Option[] {
	const hasTime = used.includes("since") || used.includes("from");
	const left = CLAUSES.filter(({ name }) =>
		name === "since" || name === "from" ? !hasTime : !used.includes(name),
	);
	return left.map(({ name, about }) => keyword(name, about));
}

function fields(of: "figure" | "condition" | "by" | "order", seen: Seen, after: string): Option[] {
	const known = new Set(FIELDS.map(({ name }) => name));
	const others = seen.fields
		.filter((name) => !known.has(name))
		.map((name) => ({ name, about: "" }));
	const options = [...FIELDS, ...others].map(({ name, about }) => fieldOf(name, about, of, after));
	if (of !== "condition") return options;
	const not: Option = { ...keyword("not", "does not hold") };
	const has: Option = { ...keyword("has", "the field is there"), insert: "has:" };
	return [...options, has, not];
}

function fieldOf(
	name: string,
	about: string,
	of: "figure" | "condition" | "by" | "order",
	after: string,
): Option {
	const written = writtenField(name);
	const option = { label: name, about: about || undefined, kind: "field" as const };
	if (of === "condition") {
		const hasTest = /^\s*(!?[:=]|[<>])/.test(after);
		const test = hasTest ? "" : MEASURED.has(name) ? ">" : ":";
		return { ...option, insert: written + test, goesOn: test === ":" };
	}
	const closes = of === "figure" && !after.startsWith(")");
	return { ...option, insert: closes ? `${written})` : written, goesOn: false };
}

function values(field: string, seen: Seen): Option[] {
	const known = VALUES[field] ?? [];
	const counted = seen.values.map(({ value, count }) => ({
		...plain(value, "value"),
		insert: writtenValue(value),
		about: count.toLocaleString("en-GB", { maximumFractionDigits: 0 }),
	}));
	const others = known.filter((value) => !seen.values.some((other) => other.value === value));
	return [...counted, ...others.map((value) => plain(value, "value"))];
}

function plain(label: string, kind: Option["kind"]): Option {
	return { label, kind, insert: label, goesOn: false };
}

/** Those that begin with what is typed; then those in which a part does; then those that have it anywhere. */
function matching(options: Option[], typed: string): Option[] {
	if (typed === "") return options.slice(0, MOST);
	const sought = typed.toLowerCase();
	const ranked = options.flatMap((option, place) => {
		const at = option.label.toLowerCase().indexOf(sought);
		if (at < 0) return [];
		const isPart = at > 0 && /[^a-z0-9]/i.test(option.label[at - 1] ?? "");
		return [{ option, rank: at === 0 ? 0 : isPart ? 1 : 2, place }];
	});
	ranked.sort((a, b) => a.rank - b.rank || a.place - b.place);
	return ranked.slice(0, MOST).map(({ option }) => option);
}
