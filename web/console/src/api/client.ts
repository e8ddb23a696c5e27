/**
 * Talks to the server: one place for addresses, credentials (the browser's cookie), errors and whether the server is there.
 */
import { learnClock } from "./clock";
import { heard, missed } from "./presence";

/** A request that did not give what it was made for. */
export class ApiError extends Error {
	override readonly name = "ApiError";

	constructor(
		/** The answer's status; 0 if there was no answer. */
		readonly status: number,
		/** The server's name for what is wrong; `unreachable` if there was no answer. */
		readonly code: string,
		message: string,
		/** After how many seconds it may be tried again, if the server said so. */
		readonly retryAfter?: number,
		/** All that the answer said, for codes that say more than a message. */
		readonly body?: unknown,
	) {
		super(message);
	}
}

/** Whether an error is the API's, of one of these codes. */
export function hasCode(error: unknown, ...codes: string[]): error is ApiError {
	return error instanceof ApiError && codes.includes(error.code);
}

/** The address of something of the server's, wherever the console is served: `apiUrl("api/builds")`. */
export function apiUrl(path: string): string {
	return new URL(path.replace(/^\/+/, ""), document.baseURI).href;
}

/** The same for WebSockets. */
export function wsUrl(path: string): string {
	return apiUrl(path).replace(/^http/, "ws");
}

export interface RequestOptions {
	signal?: AbortSignal | undefined;
	headers?: Record<string, string> | undefined;
}

/** Reads something as JSON. */
export async function get<T>(path: string, options: RequestOptions = {}): Promise<T> {
	const answer = await request(path, options);
	return answer.json();
}

/** Sends JSON and reads the answer as JSON. */
export async function send<T>(
	method: "POST" | "PUT" | "DELETE",
	path: string,
	body?: unknown,
	options: RequestOptions = {},
): Promise<T> {
	const headers = { ...options.headers, "content-type": "application/json" };
	const answer = await request(path, {
		...options,
		method,
		// A command without a body is an empty object: the server asks for JSON, which a page of another origin cannot send.
		body: JSON.stringify(body ?? {}),
		headers,
	});
	return answer.status === 204 ? (undefined as T) : answer.json();
}

/** Makes a request and gives the answer if it is a good one. */
export async function request(
	path: string,
	{ signal, headers, ...init }: RequestOptions & Pick<RequestInit, "body" | "method"> = {},
): Promise<Response> {
	const askedAt = Date.now();
	let answer: Response;
	try {
		answer = await fetch(apiUrl(path), {
			...init,
			headers: { accept: "application/json", ...headers },
			credentials: "same-origin",
			signal: signal ?? null,
		});
	} catch (error) {
		// Who has asked does not want to know any more; the server has nothing to do with it.
		if (signal?.aborted) throw error;
		missed();
		throw new ApiError(0, "unreachable", "The server cannot be reached");
	}
	// "Not modified" is what a request with an `if-none-match` was made for.
	if (answer.ok || answer.status === 304) {
		heard();
		learnClock(answer.headers.get("date"), askedAt, Date.now());
		return answer;
	}
	const error = await errorOf(answer);
	if (error.code === "unreachable") missed();
	else heard();
	if (error.status === 401) announceSignedOut();
	throw error;
}

async function errorOf(answer: Response): Promise<ApiError> {
	const body: unknown = await answer.json().catch(() => undefined);
	const said = body as { error?: unknown; code?: unknown } | undefined;
	const seconds = Number(answer.headers.get("retry-after") ?? Number.NaN);
	const retryAfter = Number.isFinite(seconds) ? seconds : undefined;
	if (typeof said?.error === "string" && typeof said.code === "string") {
		return new ApiError(answer.status, said.code, said.error, retryAfter, body);
	}
	// A proxy before the server answers in its own words when the server is away.
	if ([502, 503, 504].includes(answer.status)) {
		return new ApiError(answer.status, "unreachable", "The server cannot be reached", retryAfter);
	}
	return new ApiError(
		answer.status,
		"unexpected",
		`The server answered ${answer.status}`,
		retryAfter,
	);
}

type SignedOutListener = () => void;

const signedOutListeners = new Set<SignedOutListener>();

/** Calls `listener` whenever the server wants a sign-in first; gives what ends that. */
export function onSignedOut(listener: SignedOutListener): () => void {
	signedOutListeners.add(listener);
	return () => signedOutListeners.delete(listener);
}

/** Tells the console that it has to sign in. */
function announceSignedOut(): void {
	for (const listener of signedOutListeners) listener();
}
