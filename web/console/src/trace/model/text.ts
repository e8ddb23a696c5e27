/**
 * Texts out of spans, made fit to be shown on one line. Names come from anywhere: they may be megabytes long, hold line
 * breaks and control characters, or marks that turn the direction of writing and so show something else than they are.
 */

const LONGEST = 200;

/** Controls, and the marks of direction that reorder what stands around them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

export function oneLine(text: string, longest = LONGEST): string {
	const cut = text.length > longest ? `${cutText(text, longest - 1)}…` : text;
	return cut.replace(UNSEEN, (mark) => (/\s/.test(mark) ? " " : "\ufffd"));
}

/** Cuts without halving a character beyond the first 65,536. */
export function cutText(text: string, length: number): string {
	const cut = text.slice(0, length);
	const last = cut.charCodeAt(cut.length - 1);
	return last >= 0xd800 && last <= 0xdbff ? cut.slice(0, -1) : cut;
}
