/**
 * Reads what programs write to terminals: keeps the text, turns colours (SGR) into class names, and leaves out every other
 * sequence. What comes out is text and positions; nothing of it is ever markup.
 *
 * Colours of 256 and of 24 bits become the nearest of the eight that the theme has, since only those are legible in both
 * themes.
 */

/** A stretch of text with one look. */
export interface Run {
	start: number;
	end: number;
	/** Names of classes, such as "bold red". */
	look: string;
}

export interface AnsiText {
	text: string;
	/** In order, without overlaps; text outside of them is plain. */
	runs: Run[];
}

const COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"] as const;

type Colour = (typeof COLOURS)[number];

interface Sgr {
	colour: Colour | undefined;
	ground: Colour | undefined;
	marks: Set<string>;
}

const ESCAPE = 0x1b;
const TAB = 0x09;
const NEWLINE = 0x0a;
const RETURN = 0x0d;
const FIRST_PRINTABLE = 0x20;
const DELETE = 0x7f;

/** Whether a text has anything that `parseAnsi` would change. */
export function hasAnsi(text: string): boolean {
	return text.includes("\u001b") || text.includes("\r") || text.includes("\b");
}

export function parseAnsi(raw: string): AnsiText {
	const reader = new AnsiReader(raw);
	reader.read();
	return reader.soFar();
}

/** Reads a text piece by piece, so that a long one holds up nothing else. */
export class AnsiReader {
	private readonly page = new Page();
	private readonly sgr: Sgr = { colour: undefined, ground: undefined, marks: new Set() };
	private at = 0;

	constructor(private readonly raw: string) {}

	/** What has been read. */
	soFar(): AnsiText {
		return { text: this.page.text, runs: [...this.page.runs] };
	}

	/** Reads so many characters on, and then to the end of what is one; all by default. Gives whether there are more. */
	read(characters = Number.POSITIVE_INFINITY): boolean {
		const { raw, page, sgr } = this;
		const until = Math.min(this.at + characters, raw.length);
		while (this.at < until) {
			const end = endOfPrintable(raw, this.at);
			if (end > this.at) page.write(raw.slice(this.at, end), lookOf(sgr));
			this.at = end < raw.length ? control(raw, end, page, sgr) : end;
		}
		return this.at < raw.length;
	}
}

function endOfPrintable(raw: string, from: number): number {
	for (let at = from; at < raw.length; at++) {
		const code = raw.charCodeAt(at);
		if ((code < FIRST_PRINTABLE && code !== TAB) || code === DELETE) return at;
	}
	return raw.length;
}

/** Follows the control character at `at`; gives where to go on. */
function control(raw: string, at: number, page: Page, sgr: Sgr): number {
	switch (raw.charCodeAt(at)) {
		case NEWLINE:
			page.newline();
			return at + 1;
		case RETURN:
			page.toLineStart();
			return at + 1;
		case ESCAPE:
			return escapeSequence(raw, at + 1, sgr);
		default:
			return at + 1;
	}
}

/**
 * The text as it is written. The last line is kept apart from those above it, which nothing changes any more: a progress bar
 * that writes it anew ten thousand times costs its own length each time, and not that of the whole text.
 */
class Page {
	readonly runs: Run[] = [];
	private readonly above: string[] = [];
	/** Where the last line begins. */
	private lineStart = 0;
	private line = "";
	private returned = false;

	get text(): string {
		return this.above.join("") + this.line;
	}

	write(words: string, look: string): void {
		// What is written after a carriage return takes the place of what stood in the line, as progress bars want it.
		if (this.returned) this.clearLine();
		const start = this.lineStart + this.line.length;
		const end = start + words.length;
		this.line += words;
		if (!look) return;
		const last = this.runs.at(-1);
		if (last && last.look === look && last.end === start) last.end = end;
		else this.runs.push({ start, end, look });
	}

	newline(): void {
		this.above.push(this.line, "\n");
		this.lineStart += this.line.length + 1;
		this.line = "";
		this.returned = false;
	}

	toLineStart(): void {
		this.returned = true;
	}

	private clearLine(): void {
		this.returned = false;
		this.line = "";
		// No run goes on over the end of a line.
		while ((this.runs.at(-1)?.start ?? -1) >= this.lineStart) this.runs.pop();
	}
}

/** Reads a sequence after its ESC; gives where the text goes on. */
function escapeSequence(raw: string, at: number, sgr: Sgr): number {
	switch (raw[at]) {
		case "[":
			return controlSequence(raw, at + 1, sgr);
		// Titles, links and other strings, up to their terminator.
		case "]":
		case "P":
		case "_":
		case "^":
		case "X":
			return endOfString(raw, at + 1);
		// A character set is named by one more character.
		case "(":
		case ")":
		case "#":
			return at + 2;
		default:
			return at + 1;
	}
}

function controlSequence(raw: string, start: number, sgr: Sgr): number {
	let at = start;
	// Parameters and intermediates lie between space and ?, the final byte from @ on.
	while (at < raw.length && raw.charCodeAt(at) >= FIRST_PRINTABLE && raw.charCodeAt(at) < 0x40)
		at++;
	if (raw[at] === "m") select(raw.slice(start, at), sgr);
	return at + 1;
}

function endOfString(raw: string, from: number): number {
	for (let at = from; at < raw.length; at++) {
		const code = raw.charCodeAt(at);
		if (code === 0x07) return at + 1;
		if (code === ESCAPE) return raw[at + 1] === "\\" ? at + 2 : at;
		// A string that nobody ended must not swallow all that follows.
		if (code === NEWLINE) return at;
	}
	return raw.length;
}

const MARKS: Record<number, string> = {
	1: "bold",
	2: "dim",
	3: "italic",
	4: "underline",
	7: "inverse",
	9: "strike",
};
const UNMARKS: Record<number, string[]> = {
	22: ["bold", "dim"],
	23: ["italic"],
	24: ["underline"],
	27: ["inverse"],
	29: ["strike"],
};

function select(parameters: string, sgr: Sgr): void {
	const codes = parameters.split(/[;:]/).map((code) => Number.parseInt(code || "0", 10));
	for (let at = 0; at < codes.length; at++) {
		const code = codes[at] ?? 0;
		const mark = MARKS[code];
		if (code === 0) reset(sgr);
		else if (mark) sgr.marks.add(mark);
		else if (UNMARKS[code]) for (const mark of UNMARKS[code]) sgr.marks.delete(mark);
		else if (code === 38 || code === 48) {
			const [colour, used] = extended(codes, at + 1);
			if (code === 38) sgr.colour = colour;
			else sgr.ground = colour;
			at += used;
		} else basic(code, sgr);
	}
}

function reset(sgr: Sgr): void {
	sgr.colour = undefined;
	sgr.ground = undefined;
	sgr.marks.clear();
}

function basic(code: number, sgr: Sgr): void {
	const [tens, unit] = [Math.floor(code / 10), code % 10];
	if (tens === 3 || tens === 9) sgr.colour = COLOURS[unit];
	else if (tens === 4 || tens === 10) sgr.ground = COLOURS[unit];
}

/** The colour after 38 or 48, whose kind stands at `at`, and how many codes it took. */
function extended(codes: readonly number[], at: number): [Colour | undefined, number] {
	const code = (after: number) => codes[at + after] ?? 0;
	if (code(0) === 5) return [ofPalette(code(1)), 2];
	if (code(0) === 2) return [nearest(code(1), code(2), code(3)), 4];
	return [undefined, 0];
}

/** A colour of the palette of 256: 16 named ones, a cube of 6 × 6 × 6, and 24 greys. */
function ofPalette(index: number): Colour | undefined {
	if (index < 16) return COLOURS[index % 8];
	if (index >= 232) return index >= 250 ? "white" : "black";
	const cube = index - 16;
	const level = (step: number) => (step === 0 ? 0 : 55 + 40 * step);
	return nearest(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6));
}

/** The one of the eight whose hue is nearest. */
function nearest(red: number, green: number, blue: number): Colour {
	const [low, high] = [Math.min(red, green, blue), Math.max(red, green, blue)];
	if (high - low < 32) return high > 190 ? "white" : "black";
	const isOn = (level: number) => level - low > (high - low) / 2;
	return COLOURS[(isOn(red) ? 1 : 0) + (isOn(green) ? 2 : 0) + (isOn(blue) ? 4 : 0)] ?? "white";
}

function lookOf({ colour, ground, marks }: Sgr): string {
	const names = [...marks];
	if (colour) names.push(colour);
	if (ground) names.push(`on-${ground}`);
	return names.join(" ");
}
