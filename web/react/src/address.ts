/** Where live updates of a build are. */
import type { Address } from "./connection.js";

/** What is followed: a build, or the newest build of a project. */
export interface Followed {
	readonly projectId?: string | null | undefined;
	readonly sessionId?: string | null | undefined;
}

/** The subprotocol that is named before a token, which is the second. */
const PROTOCOL = "hopline";

/** The address of live updates: `ws` beside the page unless it is said, `http` taken for `ws`. */
export function liveUrl(url: string | URL | undefined): URL {
	const live = new URL(url ?? "ws", document.baseURI);
	live.protocol = live.protocol.replace(/^http/, "ws");
	return live;
}

/** Where to connect to, for what comes after the event `since`. */
export function liveAddress(
	url: string | URL | undefined,
	{ projectId, sessionId }: Followed,
	since: number | undefined,
	token: string | undefined,
): Address {
	const live = liveUrl(url);
	if (projectId) live.searchParams.set("projectId", projectId);
	if (sessionId) live.searchParams.set("sessionId", sessionId);
	if (since !== undefined) live.searchParams.set("since", String(since));
	return { url: live.href, protocols: token === undefined ? [] : [PROTOCOL, token] };
}
