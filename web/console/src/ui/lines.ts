/** Long texts by rows: where each row begins, and where a search matches. */

/** A row longer than this goes on in the next one, so that a text without line breaks costs no more than another. */
const LONGEST_ROW = 2_000;

/** What a browser can still scroll through at a row's height. */
export const MOST_ROWS = 1_000_000;

/** How many matches are counted. */
export const MOST_MATCHES = 10_000;

export interface Rows {
	/** Where each row begins; one more for the end of the last. */
	starts: Uint32Array;
	/** Whether the text has more rows than are kept. */
	cut: boolean;
}

/** The rows of a text. A line break at its very end begins no further row. */
export function rowsOf(text: string): Rows {
	const starts: number[] = [];
	let at = 0;
	while (at < text.length && starts.length < MOST_ROWS) {
		starts.push(at);
		const newline = text.indexOf("\n", at);
		const end = newline < 0 ? text.length : newline + 1;
		at = end - at > LONGEST_ROW ? wholeLetters(text, at + LONGEST_ROW) : end;
	}
	if (starts.length === 0) starts.push(0);
	return { starts: Uint32Array.from([...starts, at]), cut: at < text.length };
}

/** How many lines a text has; a break at its very end begins none. */
export function countLines(text: string): number {
	let lines = 1;
	for (
		let at = text.indexOf("\n");
		at >= 0 && at < text.length - 1;
		at = text.indexOf("\n", at + 1)
	)
		lines++;
	return lines;
}

/** The beginning of a text: at most so many lines, and so many characters. */
export function beginning(text: string, lines: number, characters: number): string {
	let end = 0;
	for (let line = 0; line < lines; line++) {
		const newline = text.indexOf("\n", end);
		if (newline < 0) {
			end = text.length;
			break;
		}
		end = newline + 1;
	}
	if (end > characters) end = wholeLetters(text, characters);
	return text.slice(0, end);
}

/** Never between the two halves of a letter beyond U+FFFF. */
function wholeLetters(text: string, at: number): number {
	const before = text.charCodeAt(at - 1);
	return before >= 0xd800 && before <= 0xdbff ? at - 1 : at;
}

/** Where a text has the words, in any case; none for no words. */
export function findMatches(text: string, words: string): number[] {
	if (!words) return [];
	const starts: number[] = [];
	const pattern = new RegExp(words.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`), "gi");
	for (const { index } of text.matchAll(pattern)) {
		starts.push(index);
		if (starts.length === MOST_MATCHES) break;
	}
	return starts;
}
