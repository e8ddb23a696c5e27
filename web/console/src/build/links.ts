/** What belongs together on the two sides of the page: a tool call and its spans, an event and its spans. */
import type { TraceModel } from "../trace";

/** More spans than this are not lit up at once. */
const MOST_LIT = 5_000;

const NONE: ReadonlySet<string> = new Set();

export class Links {
	readonly #model: TraceModel;
	readonly #calls: () => Iterable<string>;
	#callOfRow: Map<number, string> | undefined;

	/** `calls` gives the ids of all tool calls that are shown. */
	constructor(model: TraceModel, calls: () => Iterable<string>) {
		this.#model = model;
		this.#calls = calls;
	}

	/** Whether the trace has spans of a call. */
	hasCall(callId: string): boolean {
		return this.#model.rowsOfToolCall(callId).length > 0;
	}

	/** The spans of a call, and all that happened within them. */
	spansOfCall(callId: string): ReadonlySet<string> {
		return this.#withAllWithin(this.#model.rowsOfToolCall(callId));
	}

	/** The spans of an event's way. */
	spansOfEvent(seq: number): ReadonlySet<string> {
		return this.#idsOf(this.#model.rowsOfSeq(seq));
	}

	/** The first span of a call, or of an event. */
	spanOfCall(callId: string): string | undefined {
		return this.#first(this.#model.rowsOfToolCall(callId));
	}

	spanOfEvent(seq: number): string | undefined {
		return this.#first(this.#model.rowsOfSeq(seq));
	}

	/** The call within which a span happened. */
	callOf(spanId: string | null): string | undefined {
		this.#callOfRow ??= this.#readCalls();
		for (let row = this.#model.rowOf(spanId); row >= 0; row = this.#model.parentOf(row)) {
			const call = this.#callOfRow.get(row);
			if (call !== undefined) return call;
		}
		return undefined;
	}

	#readCalls(): Map<number, string> {
		const calls = new Map<number, string>();
		for (const id of this.#calls()) {
			for (const row of this.#model.rowsOfToolCall(id)) calls.set(row, id);
		}
		return calls;
	}

	#withAllWithin(rows: readonly number[]): ReadonlySet<string> {
		const all = [...rows];
		for (let at = 0; at < all.length && all.length < MOST_LIT; at++) {
			all.push(...this.#model.childrenOf(all[at] ?? -1));
		}
		return this.#idsOf(all);
	}

	#idsOf(rows: readonly number[]): ReadonlySet<string> {
		if (rows.length === 0) return NONE;
		return new Set(rows.map((row) => this.#model.idOf(row)));
	}

	#first(rows: readonly number[]): string | undefined {
		return rows[0] === undefined ? undefined : this.#model.idOf(rows[0]);
	}
}
