/**
 * A state that is being changed: each part is copied when it is first touched, so that a batch costs as much as it changes,
 * and all that it leaves alone is shared with the state before.
 */
import type { BuildState, ToolCall } from "./state.js";
import type { BuildText } from "./text.js";

export class Draft {
	#state: BuildState;
	readonly #tools = new Map<number, ToolCall[]>();
	readonly #texts = new Map<number, BuildText[]>();

	constructor(state: BuildState) {
		this.#state = state;
	}

	/** The state with what was set so far, but for what {@link tools} and {@link texts} gave to be changed. */
	get fields(): BuildState {
		return this.#state;
	}

	/** Sets fields other than tool calls and texts. */
	set(fields: Partial<BuildState>) {
		this.#state = { ...this.#state, ...fields };
	}

	/** A todo's tool calls, to be changed in place. */
	tools(todo: number): ToolCall[] {
		return touched(this.#tools, todo, this.#state.toolsByTodo[todo]);
	}

	/** A todo's texts, to be changed in place. */
	texts(todo: number): BuildText[] {
		return touched(this.#texts, todo, this.#state.textByTodo[todo]);
	}

	/** The state that came of it. */
	finish(): BuildState {
		const { toolsByTodo, textByTodo } = this.#state;
		if (this.#tools.size > 0) {
			this.set({ toolsByTodo: { ...toolsByTodo, ...Object.fromEntries(this.#tools) } });
		}
		if (this.#texts.size > 0) {
			this.set({ textByTodo: { ...textByTodo, ...Object.fromEntries(this.#texts) } });
		}
		return this.#state;
	}
}

function touched<T>(copies: Map<number, T[]>, todo: number, shared: readonly T[] | undefined): T[] {
	let copy = copies.get(todo);
	if (!copy) {
		copy = shared?.slice() ?? [];
		copies.set(todo, copy);
	}
	return copy;
}
