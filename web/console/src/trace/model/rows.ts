/**
 * Which rows a waterfall shows: the tree, without the subtrees that are closed, and with runs of like siblings (same name, op
 * and service, one after the other) put into one row that can be opened.
 */
import type { Kept } from "./filter";
import type { TraceModel } from "./model";

/** From how many like siblings on they become one row: of messages that were sent, which are many and little each, fewer. */
const RUN_LENGTH = 8;
const RUN_LENGTH_OF_MESSAGES = 3;

export function leastRun(model: TraceModel, row: number): number {
	return model.isMessage(row) ? RUN_LENGTH_OF_MESSAGES : RUN_LENGTH;
}

/**
 * What is open and what is closed, by span id, so that it outlives a model. Subtrees and runs each have a rule that holds for
 * all, and exceptions from it: "close all" of 100,000 spans is one number.
 */
export interface Folding {
	/** Spans at this depth and below have their subtrees closed. */
	readonly closedFrom: number;
	/** Spans for which the opposite of `closedFrom` holds. */
	readonly flipped: ReadonlySet<string>;
	readonly runsOpen: boolean;
	/** Runs, by the id of their first span, for which the opposite of `runsOpen` holds. */
	readonly flippedRuns: ReadonlySet<string>;
}

export const UNFOLDED: Folding = {
	closedFrom: Number.POSITIVE_INFINITY,
	flipped: new Set(),
	runsOpen: false,
	flippedRuns: new Set(),
};

export const Fold = { leaf: 0, open: 1, closed: 2 } as const;

/** Shown rows from the top, in columns. */
export interface ShownRows {
	readonly count: number;
	/** The span, or a run's first. */
	readonly row: Int32Array;
	/** 0 for a span; for a run, how many spans it stands for. */
	readonly run: Int32Array;
	/** Where a run's members stand among the tree's `children`: from, and to without it. */
	readonly runFrom: Int32Array;
	readonly runTo: Int32Array;
	/** How deep it is drawn: members of an open run stand one deeper than the tree has them. */
	readonly level: Int32Array;
	readonly fold: Uint8Array;
	/** For a span that is shown under another than its parent, that other's row; else -1. */
	readonly under: Int32Array;
	/** For each span its own line, or -1 where it is hidden. */
	readonly lineOf: Int32Array;
	/** For each member of a closed run the run's line, or -1. */
	readonly runLineOf: Int32Array;
}

export function isClosed(model: TraceModel, folding: Folding, row: number): boolean {
	const byRule = (model.tree.depth[row] ?? 0) >= folding.closedFrom;
	return byRule !== folding.flipped.has(model.idOf(row));
}

export function isRunOpen(model: TraceModel, folding: Folding, first: number): boolean {
	return folding.runsOpen !== folding.flippedRuns.has(model.idOf(first));
}

export function alike(model: TraceModel, a: number, b: number): boolean {
	return (
		model.name[a] === model.name[b] &&
		model.op[a] === model.op[b] &&
		model.service[a] === model.service[b]
	);
}

/** The line on which a span is seen: its own, its run's, or that of the nearest span above it that has one; or -1. */
export function lineShowing(model: TraceModel, shown: ShownRows, row: number): number {
	for (let at = row; at >= 0; at = model.parentOf(at)) {
		const line = Math.max(shown.lineOf[at] ?? -1, shown.runLineOf[at] ?? -1);
		if (line >= 0) return line;
	}
	return -1;
}

/** The same of all spans at once, in one pass: climbing from each would take as long as the tree is deep. */
export function linesShowing(model: TraceModel, shown: ShownRows): Int32Array {
	const lines = new Int32Array(model.count);
	for (const row of model.tree.order) {
		const own = Math.max(shown.lineOf[row] as number, shown.runLineOf[row] as number);
		const above = model.parentOf(row);
		lines[row] = own >= 0 || above < 0 ? own : (lines[above] as number);
	}
	return lines;
}

/** A name for a line that holds while its trace grows. */
export function lineKey(model: TraceModel, shown: ShownRows, line: number): string {
	const id = model.idOf(shown.row[line] ?? -1);
	if (shown.run[line]) return `run ${id}`;
	const under = shown.under[line] ?? -1;
	return under < 0 ? id : `${id} under ${model.idOf(under)}`;
}

/** The line on which a span is shown under another than its parent; or -1. */
function linkedLine(model: TraceModel, shown: ShownRows, row: number, under: number): number {
	const owner = shown.lineOf[under] ?? -1;
	if (owner < 0) return -1;
	const level = shown.level[owner] as number;
	for (let line = owner + 1; (shown.level[line] ?? 0) > level; line++) {
		if (shown.under[line] === under && shown.row[line] === row) return line;
	}
	return lineShowing(model, shown, row);
}

/** The line of a key as `lineKey` gave it for this or an earlier model; or -1. */
export function lineOfKey(model: TraceModel, shown: ShownRows, key: string): number {
	const isRun = key.startsWith("run ");
	const [id, under] = isRun ? [key.slice(4)] : key.split(" under ");
	const row = model.rowOf(id);
	if (row < 0) return -1;
	if (under !== undefined) return linkedLine(model, shown, row, model.rowOf(under));
	if (!isRun) return lineShowing(model, shown, row);
	const closed = shown.runLineOf[row] ?? -1;
	if (closed >= 0) return closed;
	// The line of an open run stands before its first member's.
	const own = shown.lineOf[row] ?? -1;
	return own > 0 && shown.run[own - 1] && shown.row[own - 1] === row ? own - 1 : own;
}

/** A list of siblings that is being read. */
interface Frame {
	/** Whose children they are; -1 for roots and for members of a run. */
	readonly of: number;
	at: number;
	readonly to: number;
	readonly level: number;
	/** Up to here siblings are known to make no run of their own. */
	singleUntil: number;
}

/** Takes time in proportion to what is shown and what is passed over beside it, not to what is closed. */
export function shownRows(model: TraceModel, folding: Folding, kept: Kept | null): ShownRows {
	const { childrenFrom, children } = model.tree;
	const out = new Output(model);
	const frames: Frame[] = [];
	const push = (of: number, at: number, to: number, level: number, singleUntil = at) =>
		frames.push({ of, at, to, level, singleUntil });
	push(-1, childrenFrom[0] ?? 0, childrenFrom[1] ?? 0, 0);
	for (let frame = frames.at(-1); frame; frame = frames.at(-1)) {
		if (frame.at >= frame.to) {
			frames.pop();
			for (const row of linkedShown(model, frame.of, kept)) out.linked(row, frame.of, frame.level);
			continue;
		}
		const row = children[frame.at] as number;
		if (kept && !kept.shown[row]) {
			frame.at++;
			continue;
		}
		if (frame.at >= frame.singleUntil) {
			const run = measureRun(model, frame.at, frame.to, kept);
			frame.singleUntil = run.to;
			if (run.length >= leastRun(model, row)) {
				const open = isRunOpen(model, folding, row);
				out.run(row, run.length, frame.at, run.to, frame.level, open);
				if (open) push(-1, frame.at, run.to, frame.level + 1, run.to);
				else out.standIn(children.subarray(frame.at, run.to));
				frame.at = run.to;
				continue;
			}
		}
		frame.at++;
		const from = childrenFrom[row + 1] as number;
		const to = childrenFrom[row + 2] as number;
		const childless = from === to || (kept !== null && !kept.below[row]);
		const leaf = childless && linkedShown(model, row, kept).length === 0;
		const fold = leaf ? Fold.leaf : isClosed(model, folding, row) ? Fold.closed : Fold.open;
		out.span(row, frame.level, fold);
		if (fold === Fold.open) push(row, from, to, frame.level + 1);
	}
	return out.done();
}

const NONE = new Int32Array(0);

/** What is shown under a span beside its children. */
export function linkedShown(model: TraceModel, row: number, kept: Kept | null): Int32Array {
	if (row < 0 || model.linked.from[row] === model.linked.from[row + 1]) return NONE;
	const linked = model.linkedUnder(row);
	return kept ? linked.filter((row) => kept.matches[row]) : linked;
}

/** How many shown siblings from `at` on are alike, and where the next unlike one stands. */
function measureRun(model: TraceModel, at: number, end: number, kept: Kept | null) {
	const { children } = model.tree;
	const first = children[at] as number;
	let length = 0;
	let to = at;
	for (let next = at; next < end; next++) {
		const row = children[next] as number;
		if (kept && !kept.shown[row]) continue;
		if (!alike(model, first, row)) break;
		length++;
		to = next + 1;
	}
	return { length, to };
}

/** Columns that are filled from the top. Each span, each run and each link takes one line at most. */
class Output {
	count = 0;
	readonly #row: Int32Array;
	readonly #run: Int32Array;
	readonly #runFrom: Int32Array;
	readonly #runTo: Int32Array;
	readonly #level: Int32Array;
	readonly #fold: Uint8Array;
	readonly #under: Int32Array;
	readonly #lineOf: Int32Array;
	readonly #runLineOf: Int32Array;

	constructor({ count: spans, linked }: TraceModel) {
		const most = spans + Math.floor(spans / RUN_LENGTH_OF_MESSAGES) + linked.rows.length;
		this.#row = new Int32Array(most);
		this.#run = new Int32Array(most);
		this.#runFrom = new Int32Array(most);
		this.#runTo = new Int32Array(most);
		this.#level = new Int32Array(most);
		this.#fold = new Uint8Array(most);
		this.#under = new Int32Array(most).fill(-1);
		this.#lineOf = new Int32Array(spans).fill(-1);
		this.#runLineOf = new Int32Array(spans).fill(-1);
	}

	span(row: number, level: number, fold: number): void {
		this.#lineOf[row] = this.count;
		this.#row[this.count] = row;
		this.#level[this.count] = level;
		this.#fold[this.count++] = fold;
	}

	/** A span once more, under another than its parent. */
	linked(row: number, under: number, level: number): void {
		this.#row[this.count] = row;
		this.#under[this.count] = under;
		this.#level[this.count++] = level;
	}

	run(first: number, length: number, from: number, to: number, level: number, open: boolean): void {
		this.#row[this.count] = first;
		this.#run[this.count] = length;
		this.#runFrom[this.count] = from;
		this.#runTo[this.count] = to;
		this.#level[this.count] = level;
		this.#fold[this.count++] = open ? Fold.open : Fold.closed;
	}

	/** Makes the last line stand for these spans. */
	standIn(rows: Int32Array): void {
		for (const row of rows) this.#runLineOf[row] = this.count - 1;
	}

	done(): ShownRows {
		return {
			count: this.count,
			row: this.#row.subarray(0, this.count),
			run: this.#run.subarray(0, this.count),
			runFrom: this.#runFrom.subarray(0, this.count),
			runTo: this.#runTo.subarray(0, this.count),
			level: this.#level.subarray(0, this.count),
			fold: this.#fold.subarray(0, this.count),
			under: this.#under.subarray(0, this.count),
			lineOf: this.#lineOf,
			runLineOf: this.#runLineOf,
		};
	}
}
