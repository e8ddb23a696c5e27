/** Keeps what two states have in common the same object, so that a page that comes back draws only what is new. */
import type { BuildState, ByTodo, ToolCall } from "./state.js";
import type { BuildText } from "./text.js";

/** The state `after`, with all that is as it was in `before` taken from there. */
export function shared(before: BuildState, after: BuildState): BuildState {
	if (before.id !== after.id) return after;
	return {
		...after,
		todos: sharedList(before.todos, after.todos, (todo) => todo.content, isSameJson),
		toolsByTodo: sharedByTodo(before.toolsByTodo, after.toolsByTodo, (call) => call.id, isSameCall),
		textByTodo: sharedByTodo(before.textByTodo, after.textByTodo, keyOfText, isSameText),
	};
}

function sharedByTodo<T>(
	before: ByTodo<T>,
	after: ByTodo<T>,
	keyOf: (one: T) => string,
	isSame: (one: T, other: T) => boolean,
): ByTodo<T> {
	const lists = Object.entries(after).map(([todo, list]) => {
		const known = before[Number(todo)] ?? [];
		return [todo, sharedList(known, list, keyOf, isSame)];
	});
	return Object.fromEntries(lists);
}

function sharedList<T>(
	before: readonly T[],
	after: readonly T[],
	keyOf: (one: T) => string,
	isSame: (one: T, other: T) => boolean,
): readonly T[] {
	const known = new Map(before.map((one) => [keyOf(one), one]));
	const list = after.map((one) => {
		const same = known.get(keyOf(one));
		return same !== undefined && isSame(same, one) ? same : one;
	});
	const isUnchanged = list.length === before.length && list.every((one, at) => one === before[at]);
	return isUnchanged ? before : list;
}

/** A call that stands where it stood says what it said: inputs and outputs come once. */
function isSameCall(one: ToolCall, other: ToolCall): boolean {
	return (
		one.state === other.state &&
		one.name === other.name &&
		one.startTime === other.startTime &&
		one.endTime === other.endTime &&
		(one.input === undefined) === (other.input === undefined)
	);
}

function keyOfText(text: BuildText): string {
	return `${text.kind} ${text.id}`;
}

function isSameText(one: BuildText, other: BuildText): boolean {
	return (
		one.pieces.length === other.pieces.length &&
		one.pieces.every((piece, at) => piece === other.pieces[at])
	);
}

function isSameJson(one: unknown, other: unknown): boolean {
	return JSON.stringify(one) === JSON.stringify(other);
}
