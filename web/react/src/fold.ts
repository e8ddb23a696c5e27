/**
 * A build as its updates tell it: folds them into one immutable state after the other.
 *
 * An update costs what it changes, however long the build is: parts of the state that it leaves alone are shared with the
 * state before, and texts are appended to, not copied.
 */
import { Draft } from "./draft.js";
import { Kept } from "./kept.js";
import type { SessionData, TextData, TodosData, ToolData, Update } from "./protocol.js";
import { type BuildState, readCall, readState, withNews } from "./state.js";
import { appended, type BuildText, newText } from "./text.js";

/** How much of a build is kept unless something else is asked for, in characters. A state of the server's has 8 MiB. */
export const KEPT_CHARACTERS = 10 << 20;

export class Fold {
	readonly #limit: number;
	#state: BuildState;
	#kept: Kept;

	/** Begins with a state that is known up to the event `seq`. */
	constructor(state: BuildState, seq: number, limit: number = KEPT_CHARACTERS) {
		this.#limit = limit;
		this.#state = state;
		this.#kept = new Kept(state, seq, limit);
	}

	/** The build as it stands. */
	get state(): BuildState {
		return this.#state;
	}

	/** Folds what was told up to the event `seq`. */
	apply(updates: readonly Update[], seq: number): BuildState {
		let draft = new Draft(this.#state);
		for (const update of updates) {
			if (update.type === "state-update") {
				this.#state = readState(update.data, this.#state);
				this.#kept = new Kept(this.#state, seq, this.#limit);
				draft = new Draft(this.#state);
			} else {
				this.#fold(draft, update, seq);
			}
		}
		this.#kept.bound(draft);
		this.#state = draft.finish();
		return this.#state;
	}

	#fold(draft: Draft, update: Exclude<Update, { type: "state-update" }>, seq: number) {
		switch (update.type) {
			case "todo-update":
				return foldTodos(draft, update.data);
			case "tool-call":
				return this.#foldTool(draft, update.data, seq);
			case "text-delta":
				return this.#foldText(draft, update.data, update.timestamp, seq);
			case "session":
				return foldSession(draft, update.data);
		}
	}

	#foldTool(draft: Draft, data: ToolData, seq: number) {
		const known = this.#kept.todoOf(data.id);
		const todo = data.todoIndex ?? known ?? draft.fields.activeTodoIndex;
		if (known === undefined) {
			// The answer to a call that is left out itself.
			if (data.todoIndex === undefined && draft.fields.truncated) return;
			const call = readCall(data);
			draft.tools(todo).push(call);
			this.#kept.noteTool(todo, undefined, call, seq);
			return;
		}
		const calls = draft.tools(known);
		// Calls that still change are mostly the last ones.
		const at = calls.findLastIndex((call) => call.id === data.id);
		const before = calls[at];
		if (!before) return;
		const call = withNews(before, data);
		if (todo === known) {
			calls[at] = call;
		} else {
			calls.splice(at, 1);
			draft.tools(todo).push(call);
		}
		this.#kept.noteTool(todo, before, call, seq);
	}

	#foldText(draft: Draft, data: TextData, timestamp: string, seq: number) {
		const { todoIndex, kind, id, delta } = data;
		const texts = draft.texts(todoIndex);
		const isThis = (text: BuildText) => text.kind === kind && text.id === id;
		const at = this.#kept.hasText(todoIndex, kind, id) ? texts.findLastIndex(isThis) : -1;
		const before = texts[at];
		const text = before ? appended(before, delta) : newText({ id, kind, timestamp }, delta);
		if (before) texts[at] = text;
		else texts.push(text);
		this.#kept.noteText(todoIndex, before, text, seq);
	}
}

function foldTodos(draft: Draft, { todos, activeTodoIndex }: TodosData) {
	const before = draft.fields.todos;
	const shared = todos.map((todo, index) => {
		const known = before[index];
		const isSame =
			known?.content === todo.content &&
			known.activeForm === todo.activeForm &&
			known.status === todo.status;
		return isSame ? known : todo;
	});
	const isSame = shared.length === before.length && shared.every((todo, at) => todo === before[at]);
	draft.set({ todos: isSame ? before : shared, activeTodoIndex });
}

function foldSession(draft: Draft, data: SessionData) {
	const { status, final, isActive, incomplete, errorMessage, exitCode, summary, endTime } = data;
	draft.set({ status, final, isActive, incomplete, errorMessage, exitCode, summary, endTime });
}
