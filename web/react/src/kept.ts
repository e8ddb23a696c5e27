/**
 * What of a build is kept: its tool calls and pieces of texts in the order in which they came, so that the oldest can go once
 * there is more than a page should hold. The server bounds its states in the same way.
 */
import type { Draft } from "./draft.js";
import type { TextKind } from "./protocol.js";
import type { BuildState, ToolCall } from "./state.js";
import { type BuildText, withoutFirst } from "./text.js";

/** What a call or a piece costs beside what it says, in characters. */
const PER_CALL = 300;
const PER_PIECE = 64;

/** The oldest go until this much of the limit is in use, so that going is rare and pays for itself. */
const KEPT_SHARE = 0.75;

/** A tool call, or one piece of a text: the first of it that is still there. `seq` is what was known when it came. */
type Entry =
	| { readonly seq: number; readonly tool: string }
	| { readonly seq: number; readonly text: string; readonly todo: number };

export class Kept {
	readonly #limit: number;
	readonly #todoOfTool = new Map<string, number>();
	readonly #texts = new Set<string>();
	#entries: Entry[] = [];
	#size = 0;

	/** Takes note of all that a state holds. `limit` is in characters. */
	constructor(state: BuildState, seq: number, limit: number) {
		this.#limit = limit;
		const begun: { at: string; note: () => void }[] = [];
		for (const [todo, calls] of entriesOf(state.toolsByTodo)) {
			for (const call of calls) {
				begun.push({
					at: call.startTime ?? "",
					note: () => this.noteTool(todo, undefined, call, seq),
				});
			}
		}
		for (const [todo, texts] of entriesOf(state.textByTodo)) {
			for (const text of texts) {
				begun.push({ at: text.timestamp, note: () => this.noteText(todo, undefined, text, seq) });
			}
		}
		begun.sort((one, other) => (one.at < other.at ? -1 : Number(one.at > other.at)));
		for (const { note } of begun) note();
	}

	/** The todo of a tool call that is there. */
	todoOf(tool: string): number | undefined {
		return this.#todoOfTool.get(tool);
	}

	/** Whether a todo has this text. */
	hasText(todo: number, kind: TextKind, id: string): boolean {
		return this.#texts.has(keyOf(todo, kind, id));
	}

	/** A tool call is there, or is no longer what it was. */
	noteTool(todo: number, before: ToolCall | undefined, call: ToolCall, seq: number) {
		if (!before) this.#entries.push({ seq, tool: call.id });
		this.#todoOfTool.set(call.id, todo);
		this.#size += sizeOfCall(call) - (before ? sizeOfCall(before) : 0);
	}

	/** A text is there, or has grown. */
	noteText(todo: number, before: BuildText | undefined, text: BuildText, seq: number) {
		const key = keyOf(todo, text.kind, text.id);
		this.#texts.add(key);
		const known = before?.pieces.length ?? 0;
		for (let piece = known; piece < text.pieces.length; piece++) {
			this.#entries.push({ seq, todo, text: key });
		}
		// Of the pieces there were, only the last can have grown.
		const grown = Math.max(known - 1, 0);
		this.#size += sizeOfPieces(text.pieces.slice(grown));
		this.#size -= sizeOfPieces(before?.pieces.slice(grown) ?? []);
	}

	/** Lets the oldest go if there is too much. */
	bound(draft: Draft) {
		if (this.#size <= this.#limit) return;
		while (this.#size > this.#limit * KEPT_SHARE && this.#entries.length > 0) {
			const going = this.#entries.splice(0, Math.ceil(this.#entries.length / 8));
			this.#drop(draft, going);
			const upTo = Math.max(going.at(-1)?.seq ?? 0, draft.fields.truncated?.upTo ?? 0);
			draft.set({ truncated: { upTo } });
		}
	}

	/** Takes these out, going through each todo once. */
	#drop(draft: Draft, going: readonly Entry[]) {
		const calls = new Set<string>();
		const pieces = new Map<string, number>();
		const todos = new Set<number>();
		for (const entry of going) {
			if ("tool" in entry) calls.add(entry.tool);
			else pieces.set(entry.text, (pieces.get(entry.text) ?? 0) + 1);
			const todo = "tool" in entry ? this.#todoOfTool.get(entry.tool) : entry.todo;
			if (todo !== undefined) todos.add(todo);
		}
		for (const todo of todos) {
			keepOnly(draft.tools(todo), (call) => (calls.has(call.id) ? this.#dropCall(call) : call));
			keepOnly(draft.texts(todo), (text) => {
				const key = keyOf(todo, text.kind, text.id);
				return this.#dropPieces(key, text, pieces.get(key) ?? 0);
			});
		}
	}

	#dropCall(call: ToolCall): undefined {
		this.#todoOfTool.delete(call.id);
		this.#size -= sizeOfCall(call);
	}

	#dropPieces(key: string, text: BuildText, count: number): BuildText | undefined {
		if (count === 0) return text;
		this.#size -= sizeOfPieces(text.pieces.slice(0, count));
		if (count < text.pieces.length) return withoutFirst(text, count);
		this.#texts.delete(key);
		return undefined;
	}
}

/** Replaces each by what is kept of it, in place. */
function keepOnly<T>(all: T[], kept: (one: T) => T | undefined) {
	let count = 0;
	for (const one of all) {
		const rest = kept(one);
		if (rest !== undefined) all[count++] = rest;
	}
	all.length = count;
}

function entriesOf<T>(byTodo: Readonly<Record<number, readonly T[]>>): [number, readonly T[]][] {
	return Object.entries(byTodo).map(([todo, all]) => [Number(todo), all]);
}

function keyOf(todo: number, kind: TextKind, id: string): string {
	return `${todo} ${kind} ${id}`;
}

function sizeOfCall(call: ToolCall): number {
	return PER_CALL + sizeOfJson(call.input) + sizeOfJson(call.output);
}

function sizeOfJson(value: unknown): number {
	if (typeof value === "string") return value.length;
	return value === undefined ? 0 : (JSON.stringify(value)?.length ?? 0);
}

function sizeOfPieces(pieces: readonly string[]): number {
	return pieces.reduce((sum, piece) => sum + piece.length + PER_PIECE, 0);
}
