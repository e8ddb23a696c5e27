/**
 * A build as one list, from top to bottom: each todo, then what was done for it in its order. A list of rows is what can be
 * shown a screenful at a time, however long the build.
 */
import type { BuildState, BuildText, Todo, ToolCall } from "@hopline/react";

export type Item =
	| {
			readonly kind: "todo";
			readonly key: string;
			readonly index: number;
			/** None for what belongs to no todo of the plan as it is now. */
			readonly todo: Todo | undefined;
			/** How many tool calls it has. */
			readonly calls: number;
			readonly isFolded: boolean;
	  }
	| { readonly kind: "call"; readonly key: string; readonly call: ToolCall }
	| {
			readonly kind: "text";
			readonly key: string;
			readonly text: BuildText;
			readonly piece: string;
			readonly isFirst: boolean;
			readonly isLast: boolean;
	  };

interface Known {
	readonly todo: Todo | undefined;
	readonly tools: readonly ToolCall[];
	readonly texts: readonly BuildText[];
	readonly isFolded: boolean;
	readonly items: readonly Item[];
}

const NONE: readonly never[] = [];

/** What was said before the plan, and after all of it was done, has no todo; both stand where they belong. */
export const BEFORE = -1;
export const AFTER = Number.MAX_SAFE_INTEGER;

/** The build's list. Made anew only for those todos in which something changed. */
export class Items {
	#known = new Map<number, Known>();

	/** The list of a state; of the todos with an index among `folded`, the heads alone. */
	of(state: BuildState, folded: ReadonlySet<number>): readonly Item[] {
		const known = new Map<number, Known>();
		for (const content of contentsOf(state)) {
			const { index, todo, tools, texts } = content;
			if (!todo && tools.length === 0 && texts.length === 0) continue;
			const isFolded = folded.has(index);
			const before = this.#known.get(index);
			const isSame =
				before?.todo === todo &&
				before?.isFolded === isFolded &&
				isSameList(before.tools, tools) &&
				isSameList(before.texts, texts);
			const items = before && isSame ? before.items : itemsOf(content, isFolded);
			known.set(index, { todo, tools, texts, isFolded, items });
		}
		this.#known = known;
		const isPlanless = state.todos.length === 0;
		const lists = Array.from(known.values(), ({ items }) => (isPlanless ? items.slice(1) : items));
		return lists.length === 1 ? (lists[0] ?? NONE) : lists.flat();
	}
}

/** What was done for a todo. */
interface Content {
	readonly index: number;
	readonly todo: Todo | undefined;
	readonly tools: readonly ToolCall[];
	readonly texts: readonly BuildText[];
}

/** What came before any plan, the plan, what was done for todos that are no longer in it, what came after it. */
function contentsOf({ todos, toolsByTodo, textByTodo }: BuildState): Content[] {
	const indices = new Set([...todos.keys()]);
	for (const index of [...Object.keys(toolsByTodo), ...Object.keys(textByTodo)]) {
		if (Number(index) >= 0) indices.add(Number(index));
	}
	const planned = [...indices]
		.sort((one, other) => one - other)
		.map((index): Content => {
			const [tools, texts] = [toolsByTodo[index] ?? NONE, textByTodo[index] ?? NONE];
			return { index, todo: todos[index], tools, texts };
		});
	const [tools, texts] = [toolsByTodo[-1] ?? NONE, textByTodo[-1] ?? NONE];
	const begins = planned
		.map(begunAt)
		.reduce((a, b) => (b !== "" && (a === "" || b < a) ? b : a), "");
	const isBefore = (at: string) => begins === "" || at < begins;
	const [toolsBefore, toolsAfter] = parted(tools, (call) => isBefore(callAt(call)));
	const [textsBefore, textsAfter] = parted(texts, (text) => isBefore(text.timestamp));
	return [
		{ index: BEFORE, todo: undefined, tools: toolsBefore, texts: textsBefore },
		...planned,
		{ index: AFTER, todo: undefined, tools: toolsAfter, texts: textsAfter },
	];
}

/** When the first thing was done for a todo; empty if nothing was. */
function begunAt({ tools: [call], texts: [text] }: Content): string {
	const [called, said] = [call ? callAt(call) : "", text?.timestamp ?? ""];
	return called !== "" && (said === "" || called < said) ? called : said;
}

function callAt({ startTime, endTime }: ToolCall): string {
	return startTime ?? endTime ?? "";
}

/** A list in two: its beginning for which something holds, and the rest. */
function parted<T>(list: readonly T[], holds: (one: T) => boolean): [readonly T[], readonly T[]] {
	const end = list.findIndex((one) => !holds(one));
	return end < 0 ? [list, NONE] : [list.slice(0, end), list.slice(end)];
}

function isSameList<T>(one: readonly T[], other: readonly T[]): boolean {
	return one === other || (one.length === other.length && one.every((it, at) => it === other[at]));
}

function itemsOf({ index, todo, tools, texts }: Content, isFolded: boolean): Item[] {
	const items: Item[] = [
		{ kind: "todo", key: `todo ${index}`, index, todo, calls: tools.length, isFolded },
	];
	if (isFolded) return items;
	let next = 0;
	for (const call of tools) {
		for (let text = texts[next]; text && text.timestamp < callAt(call); text = texts[++next]) {
			addText(items, index, text);
		}
		items.push({ kind: "call", key: `call ${call.id}`, call });
	}
	for (const text of texts.slice(next)) addText(items, index, text);
	return items;
}

function addText(items: Item[], index: number, text: BuildText) {
	const last = text.pieces.length - 1;
	const first = text.truncated?.parts ?? 0;
	for (const [at, piece] of text.pieces.entries()) {
		const key = `text ${index} ${text.kind} ${text.id} ${first + at}`;
		items.push({ kind: "text", key, text, piece, isFirst: at === 0, isLast: at === last });
	}
}
