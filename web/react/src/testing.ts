/** What tests use in place of a server. */
import type { BuildData, StateData, TextData, ToolData, Update } from "./protocol.js";

/** WebSockets that never leave the test. */
export class FakeSocket {
	/** Those that were made, in order. */
	static made: FakeSocket[] = [];

	/** The one that was made last. */
	static get last(): FakeSocket {
		const last = FakeSocket.made.at(-1);
		if (!last) throw new Error("no WebSocket was made");
		return last;
	}

	readonly OPEN = 1;
	readyState = 0;
	readonly url: URL;
	readonly protocols: readonly string[];
	readonly sent: string[] = [];
	onopen: (() => void) | null = null;
	onmessage: ((event: { data: unknown }) => void) | null = null;
	onclose: ((event: { code: number; reason: string }) => void) | null = null;

	constructor(url: string, protocols: string[]) {
		this.url = new URL(url);
		this.protocols = protocols;
		FakeSocket.made.push(this);
	}

	send(text: string) {
		this.sent.push(text);
	}

	close() {
		this.readyState = 3;
	}

	/** The server accepts. */
	open() {
		this.readyState = 1;
		this.onopen?.();
		this.receive({ type: "connected", clientId: "c" });
	}

	/** The server sends this. */
	receive(message: object | string) {
		const data = typeof message === "string" ? message : JSON.stringify(message);
		this.onmessage?.({ data });
	}

	/** The connection ends from the other side. */
	break(code = 1006, reason = "") {
		this.readyState = 3;
		this.onclose?.({ code, reason });
	}
}

/** {@link FakeSocket} where a WebSocket is asked for. */
export const fakeSocket = FakeSocket as unknown as typeof WebSocket;

export const SESSION = "11111111-1111-4111-8111-111111111111";
export const PROJECT = "22222222-2222-4222-8222-222222222222";
export const AT = "2026-11-30T15:00:00.000Z";

/** A state with nothing in it but this. */
export function stateData(more: Partial<StateData> = {}): StateData {
	return {
		id: SESSION,
		projectId: PROJECT,
		projectName: "p",
		operationType: "initial-build",
		agentId: "stream",
		todos: [],
		toolsByTodo: {},
		textByTodo: {},
		activeTodoIndex: -1,
		isActive: true,
		startTime: AT,
		endTime: null,
		...more,
	};
}

export const BUILD: BuildData = {
	sessionId: SESSION,
	buildId: "b",
	commandId: "c",
	status: "active",
	final: false,
	incomplete: false,
	errorMessage: null,
	exitCode: null,
	traceId: "t",
	summary: null,
};

/** A whole state, as the server sends it. */
export function snapshot(seq: number, more: Partial<StateData> = {}): object {
	const state = stateData(more);
	const session = { ...BUILD, sessionId: state.id };
	return { type: "state-update", sessionId: state.id, seq, state, session };
}

/** A batch, as the server sends it. */
export function batch(seq: number, updates: Update[], more: object = {}): object {
	return { type: "batch-update", projectId: PROJECT, sessionId: SESSION, seq, updates, ...more };
}

export function text(delta: string, more: Partial<TextData> = {}): Update {
	const data: TextData = { todoIndex: -1, id: "t", kind: "text", delta, ...more };
	return { type: "text-delta", data, timestamp: AT };
}

export function tool(id: string, more: Partial<ToolData> = {}): Update {
	const data: ToolData = { id, state: "input-available", ...more };
	return { type: "tool-call", data, timestamp: AT };
}

export function ended(status: "completed" | "failed"): Update {
	const data = {
		status,
		final: true,
		isActive: false,
		incomplete: false,
		errorMessage: null,
		exitCode: 0,
		summary: null,
		endTime: AT,
	};
	return { type: "session", data, timestamp: AT };
}
