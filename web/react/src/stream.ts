/**
 * A build that is followed live, without any framework: an external store of immutable snapshots.
 *
 * It begins with the server's whole state, folds the updates after it in their order, each once, and goes on where it was after
 * every interruption. Where it cannot be sure to have missed nothing, it asks for the whole state again.
 */
import { type Followed, liveAddress, liveUrl } from "./address.js";
import { ServerClock } from "./clock.js";
import { Connection, type SocketFactory, type Status } from "./connection.js";
import { StreamError } from "./error.js";
import { Fold } from "./fold.js";
import {
	type BatchMessage,
	GET_STATE,
	readMessage,
	type SnapshotMessage,
	type Update,
} from "./protocol.js";
import { shared } from "./share.js";
import { type BuildState, readState } from "./state.js";
import { Exporter } from "./tracing/exporter.js";
import type { TracingOptions } from "./tracing/options.js";
import { UpdateTracer } from "./tracing/tracer.js";

export interface BuildStreamOptions extends Followed {
	/** Where live updates are (`/ws`), relative to the page; `http` is taken for `ws`. `ws` unless it is said. */
	readonly url?: string | URL | undefined;
	/** For pages of other origins: gives a short-lived token of the project's, before each connection. */
	readonly token?: (() => string | Promise<string>) | undefined;
	/** How the trace is continued; false if it is not. */
	readonly tracing?: TracingOptions | false | undefined;
	/** How much of a long build is kept, in characters; the newest. */
	readonly keptCharacters?: number | undefined;
	/** What makes WebSockets, if not the page. */
	readonly webSocket?: SocketFactory | undefined;
}

/** What is known of a build, and how. */
export interface BuildSnapshot {
	/** The build; null until it is known, and for a project that has none. */
	readonly state: BuildState | null;
	/** The last event that is included. */
	readonly seq: number;
	readonly isConnected: boolean;
	/** Whether a connection is tried again. */
	readonly isReconnecting: boolean;
	/** Why it is not connected, if it should be. */
	readonly error: StreamError | null;
	/** When something last came that was new, in milliseconds since 1970. */
	readonly lastUpdate: number | null;
}

/** Before anything is known. */
export const NOTHING_YET: BuildSnapshot = {
	state: null,
	seq: 0,
	isConnected: false,
	isReconnecting: false,
	error: null,
	lastUpdate: null,
};

export class BuildStream {
	readonly #options: BuildStreamOptions;
	readonly #listeners = new Set<() => void>();
	readonly #clock = new ServerClock();
	readonly #connection: Connection;
	readonly #exporter: Exporter | undefined;
	readonly #tracer: UpdateTracer | undefined;
	#snapshot = NOTHING_YET;
	#fold: Fold | undefined;
	#isBehind = false;

	constructor(options: BuildStreamOptions) {
		this.#options = options;
		this.#connection = new Connection({
			address: () => this.#address(),
			message: (data, receivedAt) => this.#receive(data, receivedAt),
			changed: (status, error) => this.#changed(status, error),
			clock: this.#clock,
			// Where pages are drawn on a server there may be none.
			socket: options.webSocket ?? globalThis.WebSocket,
		});
		if (options.tracing === false) return;
		const exporter = new Exporter(this.#clock, options.tracing ?? {}, () =>
			intakeBase(options.url),
		);
		this.#exporter = exporter;
		this.#tracer = new UpdateTracer((spans) => exporter.record(spans));
	}

	/** Begins to follow. */
	readonly start = () => this.#connection.start();

	/** Stops following; what is known stays. */
	readonly stop = () => {
		this.#connection.stop();
		this.#tracer?.end();
		this.#exporter?.flush();
	};

	/** Connects anew, at once. */
	readonly reconnect = () => this.#connection.restart();

	/** What is known; the same object until something changes. */
	readonly getSnapshot = (): BuildSnapshot => this.#snapshot;

	/** Calls back whenever something has changed. Gives what ends that. */
	readonly subscribe = (listener: () => void): (() => void) => {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	};

	/** Says that a component has drawn what is known, so that its paint is traced. */
	readonly drawn = (component: string) => this.#tracer?.drawn(component);

	async #address() {
		const { url, token, sessionId } = this.#options;
		const shown = await token?.();
		// A project's newest build may be another one by now.
		const since = sessionId && this.#fold && !this.#isBehind ? this.#snapshot.seq : undefined;
		return liveAddress(url, this.#options, since, shown);
	}

	#changed(status: Status, error: StreamError | undefined) {
		const { isReconnecting, error: before } = this.#snapshot;
		this.#set({
			isConnected: status === "open",
			isReconnecting: status === "waiting" || (status === "connecting" && isReconnecting),
			error: status === "open" ? null : (error ?? before),
		});
	}

	#receive(data: unknown, receivedAt: number) {
		const message = readMessage(data);
		switch (message?.type) {
			case "heartbeat":
				this.#connection.answered(receivedAt, message.timestamp);
				return;
			case "error":
				this.#set({ error: new StreamError(message.code, message.error) });
				return;
			case "state-update":
				this.#begin(message);
				return;
			case "batch-update":
				this.#goOn(message, receivedAt);
		}
	}

	/** Begins anew with a whole state. */
	#begin({ state: data, session, seq }: SnapshotMessage) {
		const known = this.#snapshot.state;
		if (data === null) {
			this.#fold = undefined;
			this.#set({ state: null, seq, lastUpdate: Date.now() });
			return;
		}
		const state = readState(data, session);
		// Something has changed in an older build of the project.
		if (known && known.id !== state.id && known.startTime > state.startTime) return;
		this.#isBehind = false;
		this.#fold = new Fold(known ? shared(known, state) : state, seq, this.#options.keptCharacters);
		this.#set({ state: this.#fold.state, seq, lastUpdate: Date.now() });
	}

	/** Goes on with what is new in a batch. */
	#goOn(batch: BatchMessage, receivedAt: number) {
		const { seq } = this.#snapshot;
		if (!this.#fold || this.#isBehind || batch.sessionId !== this.#fold.state.id) return;
		if (batch.after !== undefined && batch.after > seq) return this.#askAgain();
		const updates = batch.updates.filter((update) => isNew(update, batch.seq, seq));
		if (updates.length === 0) return;
		let state: BuildState;
		try {
			state = this.#fold.apply(updates, batch.seq);
		} catch {
			// An update that is not what it says it is.
			return this.#askAgain();
		}
		this.#set({ state, seq: batch.seq, lastUpdate: Date.now() });
		this.#tracer?.applied({ ...batch, updates }, state.commandId, receivedAt);
	}

	/** Something is missing: until the whole state comes, nothing can be made of updates. */
	#askAgain() {
		this.#isBehind = true;
		this.#connection.send(GET_STATE);
	}

	#set(news: Partial<BuildSnapshot>) {
		this.#snapshot = { ...this.#snapshot, ...news };
		for (const listener of this.#listeners) listener();
	}
}

/** What the server decides by itself has no event of its own: it comes under the number of the event before it. */
function isNew(update: Update, seq: number, known: number): boolean {
	return seq > known || (seq === known && update.type === "session");
}

/** What the address of Hopline's intake is relative to. */
function intakeBase(url: string | URL | undefined): string {
	return liveUrl(url).href.replace(/^ws/, "http");
}
