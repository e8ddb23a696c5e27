/** Search over a whole build: the tool calls and texts that have some words, each with the lines in which it has them. */
import type { ToolCall } from "@hopline/react";
import { hasAnsi, parseAnsi } from "../../ui/ansi";
import type { Item } from "./items";

/** A tool call or a piece of a text that has the words. */
export interface Found {
	readonly item: Extract<Item, { kind: "call" | "text" }>;
	/** The first lines with the words, and where in the line they are. */
	readonly lines: readonly FoundLine[];
	/** How many lines more have them. */
	readonly more: number;
}

export interface FoundLine {
	readonly line: string;
	readonly start: number;
	readonly length: number;
}

/** How many lines are shown of each. */
const LINES = 3;

/** More than this is not shown: whoever reads it would rather say more words. */
export const MOST_FOUND = 500;

/** What is shown of a long line before the words, and after them. */
const BEFORE = 32;
const AFTER = 200;

/** Finds words, in any case. */
export function find(items: readonly Item[], words: string): readonly Found[] {
	const found: Found[] = [];
	const pattern = new RegExp(words.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`), "gi");
	for (const item of items) {
		if (found.length >= MOST_FOUND) break;
		if (item.kind === "todo") continue;
		const text = item.kind === "text" ? shown(item.piece) : textOf(item.call);
		const { lines, more } = linesWith(text, pattern);
		if (lines.length > 0) found.push({ item, lines, more });
	}
	return found;
}

/** Calls are put into words once, and not with each letter that is typed. */
const texts = new WeakMap<ToolCall, string>();

/** All that a call says, as it is shown. */
function textOf(call: ToolCall): string {
	let text = texts.get(call);
	if (text === undefined) {
		text = shown([call.name, plain(call.input), plain(call.output)].join("\n"));
		texts.set(call, text);
	}
	return text;
}

/** A text without what colours it. */
function shown(text: string): string {
	return hasAnsi(text) ? parseAnsi(text).text : text;
}

/** A value as text: texts in it as they are, one after the other, and nothing escaped. */
export function plain(value: unknown): string {
	if (typeof value === "string") return value;
	if (typeof value !== "object" || value === null) return value === undefined ? "" : String(value);
	const entries = Object.entries(value);
	return entries.map(([key, one]) => `${key}: ${plain(one)}`).join("\n");
}

function linesWith(text: string, pattern: RegExp): { lines: FoundLine[]; more: number } {
	const lines: FoundLine[] = [];
	let more = 0;
	pattern.lastIndex = 0;
	for (let match = pattern.exec(text); match && match[0] !== ""; match = pattern.exec(text)) {
		const begin = text.lastIndexOf("\n", match.index) + 1;
		const lineEnd = text.indexOf("\n", match.index);
		const end = lineEnd < 0 ? text.length : lineEnd;
		if (lines.length < LINES) lines.push(foundLine(text, begin, end, match.index, match[0].length));
		else more += 1;
		// Each line once.
		pattern.lastIndex = Math.max(end, pattern.lastIndex);
	}
	return { lines, more };
}

function foundLine(
	text: string,
	begin: number,
	end: number,
	at: number,
	length: number,
): FoundLine {
	const from = Math.max(begin, at - BEFORE);
	const to = Math.min(end, at + length + AFTER);
	const before = from > begin ? "…" : "";
	const after = to < end ? "…" : "";
	const line = `${before}${text.slice(from, to)}${after}`;
	return { line, start: before.length + at - from, length };
}
