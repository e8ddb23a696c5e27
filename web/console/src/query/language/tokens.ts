/**
 * The words and marks of a question in the query language, each with its place.
 *
 * The server reads questions and has the last word on them; what is read here serves highlighting, completion and the
 * rewriting of clauses. So nothing is refused: what has no meaning becomes a token of the kind `unknown`.
 */

export type Mark = ">=" | "<=" | "(" | ")" | "[" | "]" | "," | ":" | "!" | "=" | ">" | "<";

export type Token = {
	kind: "word" | "quoted" | "mark" | "unknown";
	/** As it stands in the question. */
	text: string;
	/** What it says: without its quotes and the backslashes that kept some in it. */
	value: string;
	/** Whether a quotation ends. */
	closed: boolean;
	start: number;
	end: number;
};

const SPACE = /[ \t\r\n]+/y;
const QUOTED = /"(?:\\["\\]|[^"])*"/y;
/** A date, with a time of day or without: the colons in it are no marks. */
const INSTANT =
	/\d{4}-\d{2}-\d{2}(?:[Tt]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:[Zz]|[+-]\d{2}:\d{2})?)?/y;
const MARK = />=|<=|[()[\],:!=<>]/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: a word has none
const WORD = /[^\s()[\],:!=<>"\u0000-\u001f\u007f-\u009f]+/y;

/** Takes a question apart. Blanks are left out; the tokens' places say where they were. */
export function tokensOf(text: string): Token[] {
	const tokens: Token[] = [];
	let at = 0;
	const take = (pattern: RegExp): string | undefined => {
		pattern.lastIndex = at;
		return pattern.exec(text)?.[0];
	};
	const push = (kind: Token["kind"], found: string, value = found, closed = true) => {
		tokens.push({ kind, text: found, value, closed, start: at, end: at + found.length });
		at += found.length;
	};
	while (at < text.length) {
		const space = take(SPACE);
		if (space !== undefined) {
			at += space.length;
			continue;
		}
		const quoted = take(QUOTED);
		if (quoted !== undefined) {
			push("quoted", quoted, unquoted(quoted.slice(1, -1)));
		} else if (text[at] === '"') {
			const rest = text.slice(at);
			push("quoted", rest, unquoted(rest.slice(1)), false);
		} else {
			const word = take(INSTANT);
			const mark = word === undefined ? take(MARK) : undefined;
			const found = word ?? mark ?? take(WORD);
			if (found !== undefined) {
				push(mark === undefined ? "word" : "mark", found);
			} else {
				push("unknown", String.fromCodePoint(text.codePointAt(at) ?? 0));
			}
		}
	}
	return tokens;
}

function unquoted(inner: string): string {
	return inner.replaceAll(/\\(["\\])/g, "$1");
}

/** Whether a text can stand as a word, and needs no quotes. */
export function isWord(text: string): boolean {
	const [first] = tokensOf(text);
	return first?.kind === "word" && first.text === text;
}

/** A text in quotes: what it says is the text, letter for letter. */
export function inQuotes(text: string): string {
	return `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
}

/** A name of a field as it is written: in quotes where it is odd. */
export function writtenField(name: string): string {
	return isWord(name) ? name : inQuotes(name);
}

/** A value as it is written: in quotes where it is odd, and its stars are stars. */
export function writtenValue(value: string): string {
	const plain = value.replaceAll("*", "\\*");
	return isWord(plain) ? plain : inQuotes(value).replaceAll("*", "\\*");
}
