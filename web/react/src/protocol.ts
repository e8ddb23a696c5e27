/**
 * What the server and a live client say to each other (`GET /ws`), as far as the client reads it.
 *
 * Everything here is the wire's own shape. What a newer server adds is passed over: an update of an unknown type, or a
 * message that cannot be read, says nothing.
 */

/** A todo of the plan. */
export interface Todo {
	readonly content: string;
	readonly activeForm: string;
	readonly status: "pending" | "in_progress" | "completed";
}

/** How far a tool call has come. */
export type ToolState = "input-available" | "output-available" | "output-error";

/** What was cut from a tool call, with the whole's size in bytes. */
export interface Truncation {
	readonly input?: { readonly bytes: number };
	readonly output?: { readonly bytes: number };
}

/** A tool call, or what is new of one: an answer alone says neither name nor input. */
export interface ToolData {
	readonly id: string;
	readonly todoIndex?: number;
	readonly name?: string;
	readonly input?: unknown;
	readonly output?: unknown;
	readonly state: ToolState;
	readonly startTime?: string | null;
	readonly endTime?: string;
	readonly truncated?: Truncation;
}

/** The plan as it now is. */
export interface TodosData {
	readonly todos: readonly Todo[];
	readonly activeTodoIndex: number;
}

/** What people read: the answer itself, or the thoughts before it. */
export type TextKind = "text" | "reasoning";

/** More of a text. */
export interface TextData {
	readonly todoIndex: number;
	readonly id: string;
	readonly kind: TextKind;
	readonly delta: string;
}

/** A text as a state holds it. */
export interface WholeTextData {
	readonly id: string;
	readonly kind?: TextKind;
	readonly text: string;
	readonly timestamp: string;
	readonly truncated?: { readonly parts: number };
}

/** How a build's session stands. */
export interface SessionData {
	readonly status: "active" | "completed" | "failed";
	readonly final: boolean;
	readonly isActive: boolean;
	readonly incomplete: boolean;
	readonly errorMessage: string | null;
	readonly exitCode: number | null;
	readonly summary: string | null;
	readonly endTime: string | null;
}

/** The whole state of a build. */
export interface StateData extends TodosData {
	readonly id: string;
	readonly projectId: string;
	readonly projectName: string;
	readonly operationType: string;
	readonly agentId: string;
	readonly toolsByTodo: Readonly<Record<string, readonly ToolData[]>>;
	readonly textByTodo: Readonly<Record<string, readonly WholeTextData[]>>;
	readonly isActive: boolean;
	readonly startTime: string;
	readonly endTime: string | null;
	readonly truncated?: { readonly upTo: number };
}

/** A build's own row, which comes beside its state. */
export interface BuildData {
	readonly sessionId: string;
	readonly buildId: string;
	readonly commandId: string;
	readonly status: SessionData["status"];
	readonly final: boolean;
	readonly incomplete: boolean;
	readonly errorMessage: string | null;
	readonly exitCode: number | null;
	readonly traceId: string | null;
	readonly summary: string | null;
}

/** One change of a build. */
export type Update =
	| { readonly type: "state-update"; readonly data: StateData; readonly timestamp: string }
	| { readonly type: "todo-update"; readonly data: TodosData; readonly timestamp: string }
	| { readonly type: "tool-call"; readonly data: ToolData; readonly timestamp: string }
	| { readonly type: "text-delta"; readonly data: TextData; readonly timestamp: string }
	| { readonly type: "session"; readonly data: SessionData; readonly timestamp: string };

/** The types of updates. */
export type UpdateType = Update["type"];

/** Where a trace stands: Sentry's `sentry-trace` value, and a W3C baggage. */
export interface CarrierData {
	readonly trace?: string;
	readonly baggage?: string;
}

/** A whole state, in place of all that was known. */
export interface SnapshotMessage {
	readonly type: "state-update";
	readonly projectId?: string;
	readonly sessionId?: string;
	readonly seq: number;
	readonly state: StateData | null;
	readonly session?: BuildData;
}

/** Changes of one build, in order. */
export interface BatchMessage {
	readonly type: "batch-update";
	readonly projectId: string;
	readonly sessionId: string;
	/** The last event that was told before, if the server says so. */
	readonly after?: number;
	/** The last event included. */
	readonly seq: number;
	readonly updates: readonly Update[];
	readonly _sentry?: CarrierData;
}

/** What the server sends. */
export type ServerMessage =
	| { readonly type: "connected"; readonly clientId: string }
	| { readonly type: "heartbeat"; readonly timestamp?: string }
	| { readonly type: "error"; readonly error: string; readonly code: string }
	| SnapshotMessage
	| BatchMessage;

/** What the client sends. */
export const HEARTBEAT = '{"type":"heartbeat"}';
export const GET_STATE = '{"type":"get-state"}';

/** Reads a message; nothing if it is none that this client knows. */
export function readMessage(text: unknown): ServerMessage | undefined {
	if (typeof text !== "string") return undefined;
	let message: unknown;
	try {
		message = JSON.parse(text);
	} catch {
		return undefined;
	}
	if (!isObject(message)) return undefined;
	switch (message.type) {
		case "connected":
		case "heartbeat":
		case "error":
			return message as ServerMessage;
		case "state-update":
			return isSnapshot(message) ? message : undefined;
		case "batch-update":
			return isBatch(message) ? message : undefined;
		default:
			return undefined;
	}
}

function isSnapshot(message: object): message is SnapshotMessage {
	const { seq, state } = message as Partial<SnapshotMessage>;
	return typeof seq === "number" && (state === null || isObject(state));
}

function isBatch(message: object): message is BatchMessage {
	const { seq, sessionId, updates } = message as Partial<BatchMessage>;
	return typeof seq === "number" && typeof sessionId === "string" && Array.isArray(updates);
}

/** Whether a value has members. */
export function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null;
}
