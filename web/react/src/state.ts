/**
 * A build as a page shows it: the server's GenerationState with how its session stands, immutable.
 *
 * From one state to the next, all that did not change is the same object: a component that is given one todo's tool calls, or
 * one call, or a text's pieces, need not draw again unless they differ.
 */
import type {
	BuildData,
	SessionData,
	StateData,
	Todo,
	ToolData,
	ToolState,
	Truncation,
	WholeTextData,
} from "./protocol.js";
import { type BuildText, newText } from "./text.js";

/** A tool call as it stands. */
export interface ToolCall {
	readonly id: string;
	/** Empty if only the call's answer was ever seen. */
	readonly name: string;
	readonly input?: unknown;
	readonly output?: unknown;
	readonly state: ToolState;
	/** When it began, in ISO 8601. */
	readonly startTime: string | null;
	readonly endTime: string | null;
	/** What was cut from input and output, with the whole's size. */
	readonly truncated?: Truncation;
}

/** Something of each todo, by its index; -1 is before any. */
export type ByTodo<T> = Readonly<Record<number, readonly T[]>>;

/** A build. */
export interface BuildState {
	/** The session's id. */
	readonly id: string;
	readonly projectId: string;
	readonly projectName: string;
	readonly operationType: string;
	readonly agentId: string;
	readonly todos: readonly Todo[];
	/** The todo that is being done; -1 if none is. */
	readonly activeTodoIndex: number;
	readonly toolsByTodo: ByTodo<ToolCall>;
	readonly textByTodo: ByTodo<BuildText>;
	readonly isActive: boolean;
	/** In ISO 8601. */
	readonly startTime: string;
	readonly endTime: string | null;
	/** What this event or one before it began may be left out; all that later ones began is there. */
	readonly truncated?: { readonly upTo: number };
	readonly status: SessionData["status"];
	/** Whether nothing can change the status any more. */
	readonly final: boolean;
	/** Whether events of the build were lost. */
	readonly incomplete: boolean;
	readonly errorMessage: string | null;
	readonly exitCode: number | null;
	readonly summary: string | null;
	readonly traceId: string | null;
	/** The build's other names; empty if the server does not say. */
	readonly buildId: string;
	readonly commandId: string;
}

/** The state that a snapshot holds. */
export function readState(
	data: StateData,
	build: Omit<BuildData, "sessionId"> | undefined,
): BuildState {
	return {
		id: data.id,
		projectId: data.projectId,
		projectName: data.projectName,
		operationType: data.operationType,
		agentId: data.agentId,
		todos: data.todos,
		activeTodoIndex: data.activeTodoIndex,
		toolsByTodo: mapByTodo(data.toolsByTodo, readCall),
		textByTodo: mapByTodo(data.textByTodo, readText),
		isActive: data.isActive,
		startTime: data.startTime,
		endTime: data.endTime,
		...(data.truncated && { truncated: data.truncated }),
		status: build?.status ?? (data.isActive ? "active" : "completed"),
		final: build?.final ?? !data.isActive,
		incomplete: build?.incomplete ?? false,
		errorMessage: build?.errorMessage ?? null,
		exitCode: build?.exitCode ?? null,
		summary: build?.summary ?? null,
		traceId: build?.traceId ?? null,
		buildId: build?.buildId ?? "",
		commandId: build?.commandId ?? "",
	};
}

function mapByTodo<Data, T>(
	data: Readonly<Record<string, readonly Data[]>> | undefined,
	read: (one: Data) => T,
): ByTodo<T> {
	const entries = Object.entries(data ?? {});
	return Object.fromEntries(entries.map(([index, all]) => [index, all.map(read)]));
}

/** A tool call of which nothing was known before. */
export function readCall(data: ToolData): ToolCall {
	return {
		id: data.id,
		name: data.name ?? "",
		...("input" in data && { input: data.input }),
		...("output" in data && { output: data.output }),
		state: data.state,
		startTime: data.startTime ?? null,
		endTime: data.endTime ?? null,
		...(data.truncated && { truncated: data.truncated }),
	};
}

/** A tool call with what is new of it. */
export function withNews(call: ToolCall, news: ToolData): ToolCall {
	const truncated = { ...call.truncated, ...news.truncated };
	return {
		...call,
		...("input" in news && { input: news.input }),
		...("output" in news && { output: news.output }),
		name: news.name || call.name,
		state: news.state,
		startTime: news.startTime ?? call.startTime,
		endTime: news.endTime ?? call.endTime,
		...(Object.keys(truncated).length > 0 && { truncated }),
	};
}

function readText({ id, kind, timestamp, truncated, text }: WholeTextData): BuildText {
	const of = { id, kind: kind ?? ("text" as const), timestamp };
	return newText(truncated ? { ...of, truncated } : of, text);
}
