/** A question as pieces of one kind each, for colours and for the mark under a mistake. */

import { type Token, tokensOf } from "./tokens";
import { isFunction, isKeyword } from "./words";

export type PieceKind =
	| "plain"
	| "keyword"
	| "function"
	| "field"
	| "value"
	| "number"
	| "mark"
	| "unknown";

export type Piece = { text: string; kind: PieceKind; isMistake: boolean };

/** Where a mistake is: an empty place marks the letter before it. */
export type Place = { start: number; end: number };

/** The question's pieces in order; together they are the question. */
export function piecesOf(text: string, mistake?: Place): Piece[] {
	const pieces: Piece[] = [];
	const bounds = mistake && widened(mistake, text.length);
	let end = 0;
	const push = (from: number, to: number, kind: PieceKind) => {
		for (const [start, stop] of cut(from, to, bounds)) {
			const isMistake = bounds !== undefined && start >= bounds.start && stop <= bounds.end;
			pieces.push({ text: text.slice(start, stop), kind, isMistake });
		}
	};
	const tokens = tokensOf(text);
	tokens.forEach((token, at) => {
		push(end, token.start, "plain");
		push(token.start, token.end, kindOf(token, tokens[at - 1], tokens[at + 1]));
		end = token.end;
	});
	push(end, text.length, "plain");
	return pieces;
}

function widened({ start, end }: Place, length: number): Place {
	if (end > start) return { start, end };
	return { start: Math.max(0, Math.min(start, length) - 1), end: Math.max(end, 1) };
}

/** A stretch in parts that lie wholly within a place or wholly outside. */
function cut(from: number, to: number, place: Place | undefined): [number, number][] {
	const inner = place ? [place.start, place.end].filter((at) => at > from && at < to) : [];
	const edges = [from, ...inner, to];
	const parts = edges.slice(1).map((edge, at): [number, number] => [edges[at] ?? from, edge]);
	return parts.filter(([start, end]) => end > start);
}

function kindOf(token: Token, before: Token | undefined, after: Token | undefined): PieceKind {
	if (token.kind === "mark") return "mark";
	if (token.kind === "unknown") return "unknown";
	const isTested = after?.kind === "mark" && /^([:=!<>]|[<>]=)$/.test(after.text);
	if (isTested) return "field";
	const follows = before?.kind === "mark" ? before.text : "";
	const isValue = /^([:=[]|[<>]=?)$/.test(follows);
	if (isLength(token.value) && token.kind === "word") return "number";
	if (isValue || token.kind === "quoted") return "value";
	if (isFunction(token.value) && after?.text === "(") return "function";
	if (isWordOfLanguage(token.value)) return "keyword";
	return "field";
}

const isLength = (text: string) => /^[\d.]+([a-zµμ]{1,3})?$|^\d{4}-\d{2}-\d{2}/.test(text);

function isWordOfLanguage(text: string): boolean {
	return isKeyword(text) || ["spans", "desc", "asc", "to"].includes(text.toLowerCase());
}
