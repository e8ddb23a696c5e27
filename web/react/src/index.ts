/** Follow a Hopline build live: a hook for React, and the store beneath it for everything else. */
export { StreamError, type StreamErrorCode } from "./error.js";
export type { TextKind, Todo, ToolState, Truncation } from "./protocol.js";
export type { BuildState, ByTodo, ToolCall } from "./state.js";
export { type BuildSnapshot, BuildStream, type BuildStreamOptions } from "./stream.js";
export type { BuildText } from "./text.js";
export type { SentryClient, SentryLike, TracingOptions } from "./tracing/options.js";
export {
	type BuildWebSocket,
	type UseBuildWebSocketOptions,
	useBuildWebSocket,
} from "./useBuildWebSocket.js";
