/** Why a build cannot be followed, or not just now. */

/**
 * - `unreachable`: the server is away, or refuses the connection (browsers do not say which).
 * - `token`: no token could be had.
 * - `gone`: the server says that there is no such build, or not any more. Nothing is tried again by itself.
 * - any other: a code of the server's own.
 */
export type StreamErrorCode = "unreachable" | "token" | "gone" | (string & {});

export class StreamError extends Error {
	override readonly name = "StreamError";
	readonly code: StreamErrorCode;

	constructor(code: StreamErrorCode, message: string, options?: ErrorOptions) {
		super(message, options);
		this.code = code;
	}
}
