/**
 * A text that grows: appended to without copying what is there, and given out in pieces that never change once the next
 * one has begun, so that whoever shows it draws again only the last.
 */
import type { TextKind } from "./protocol.js";

/** A piece ends with the first line after so many characters; if that is longer than {@link MAX_PIECE}, between words. */
const PIECE = 4_096;

/** No piece is longer than this. */
const MAX_PIECE = 16_384;

/** A text of a build as it stands. Immutable: what was appended is in the next one. */
export interface BuildText {
	/** The text's own name within the build. */
	readonly id: string;
	readonly kind: TextKind;
	/** When it began, in ISO 8601. */
	readonly timestamp: string;
	/** The text, in pieces that end with a line where they can. Only the last one may differ in a later state. */
	readonly pieces: readonly string[];
	/** How many pieces of the beginning are left out, if any are. */
	readonly truncated?: { readonly parts: number };
	/** The text as a whole, put together anew each time. */
	readonly text: string;
	/** How many UTF-16 units it has. */
	readonly length: number;
}

/** What a text is made of. */
type Contents = Omit<BuildText, "text" | "length">;

class PiecedText implements BuildText {
	readonly id: string;
	readonly kind: TextKind;
	readonly timestamp: string;
	readonly pieces: readonly string[];
	readonly truncated?: { readonly parts: number };

	constructor({ id, kind, timestamp, pieces, truncated }: Contents) {
		this.id = id;
		this.kind = kind;
		this.timestamp = timestamp;
		this.pieces = pieces;
		if (truncated) this.truncated = truncated;
	}

	get text(): string {
		return this.pieces.join("");
	}

	get length(): number {
		return this.pieces.reduce((sum, piece) => sum + piece.length, 0);
	}

	/** As the server writes it. */
	toJSON(): object {
		const { id, kind, text, timestamp, truncated } = this;
		return { id, kind, text, timestamp, ...(truncated && { truncated }) };
	}
}

/** A text that begins with these words. */
export function newText(of: Omit<Contents, "pieces">, words: string): BuildText {
	return new PiecedText({ ...of, pieces: piecesOf(words) });
}

/** A text with more at its end. */
export function appended(text: BuildText, delta: string): BuildText {
	if (delta === "") return text;
	const pieces = text.pieces.slice();
	pushPieces(pieces, (pieces.pop() ?? "") + delta);
	return new PiecedText({ ...text, pieces });
}

/** A text without its first pieces. */
export function withoutFirst(text: BuildText, count: number): BuildText {
	const pieces = text.pieces.slice(count);
	const parts = (text.truncated?.parts ?? 0) + text.pieces.length - pieces.length;
	return new PiecedText({ ...text, pieces, truncated: { parts } });
}

/** Cuts a text into pieces. */
export function piecesOf(text: string): string[] {
	const pieces: string[] = [];
	pushPieces(pieces, text);
	return pieces;
}

function pushPieces(pieces: string[], text: string) {
	let begin = 0;
	for (;;) {
		const end = endOfPiece(text, begin);
		if (end === undefined) break;
		pieces.push(text.slice(begin, end));
		begin = end;
	}
	const rest = begin === 0 ? text : text.slice(begin);
	if (rest !== "") pieces.push(rest);
}

/** Where the piece ends that begins there; nothing if it may still grow. */
function endOfPiece(text: string, begin: number): number | undefined {
	if (text.length - begin <= PIECE) return undefined;
	const window = text.slice(begin + PIECE - 1, begin + MAX_PIECE);
	const lineEnd = window.indexOf("\n");
	if (lineEnd >= 0) {
		const end = begin + PIECE + lineEnd;
		return end < text.length ? end : undefined;
	}
	if (text.length - begin <= MAX_PIECE) return undefined;
	const space = window.lastIndexOf(" ");
	if (space >= 0) return begin + PIECE + space;
	const end = begin + MAX_PIECE;
	// Both halves of a character stay together.
	return isLowSurrogate(text.charCodeAt(end)) ? end - 1 : end;
}

function isLowSurrogate(unit: number): boolean {
	return unit >= 0xdc00 && unit <= 0xdfff;
}
