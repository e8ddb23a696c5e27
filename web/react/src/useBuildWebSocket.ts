/** The hook: a {@link BuildStream} as long as its component is there. */
import { useEffect, useLayoutEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { type BuildSnapshot, BuildStream, type BuildStreamOptions, NOTHING_YET } from "./stream.js";

export type UseBuildWebSocketOptions = BuildStreamOptions;

export interface BuildWebSocket extends BuildSnapshot {
	/** Connects anew, at once: for a button, after an error. */
	readonly reconnect: () => void;
}

const COMPONENT = "Build";

/** There is no layout on a server. */
const useDrawn = typeof document === "undefined" ? useEffect : useLayoutEffect;

/**
 * Follows a build live. With a `sessionId` that build, else the newest of the project; with neither, nothing.
 *
 * `url`, `projectId` and `sessionId` say what is followed: when one of them changes, another build is. The other options are
 * those of the first time.
 */
export function useBuildWebSocket(options: UseBuildWebSocketOptions): BuildWebSocket {
	const { projectId, sessionId } = options;
	const url = options.url === undefined ? undefined : String(options.url);
	const latest = useRef(options);
	useDrawn(() => {
		latest.current = options;
	});
	const stream = useMemo(() => {
		if (!projectId && !sessionId) return undefined;
		const { token, tracing, keptCharacters, webSocket } = latest.current;
		// A token is had from whoever gives one now.
		const current = token && (async () => (await latest.current.token?.()) ?? "");
		return new BuildStream({
			url,
			projectId,
			sessionId,
			token: current,
			tracing,
			keptCharacters,
			webSocket,
		});
	}, [url, projectId, sessionId]);

	useEffect(() => {
		stream?.start();
		return stream?.stop;
	}, [stream]);

	const snapshot = useSyncExternalStore(
		stream?.subscribe ?? subscribeToNothing,
		stream?.getSnapshot ?? nothingYet,
		nothingYet,
	);

	const component = (options.tracing || undefined)?.component ?? COMPONENT;
	// Whenever another state was drawn, even though the effect does not look into it.
	const { state } = snapshot;
	useDrawn(() => {
		if (state) stream?.drawn(component);
	}, [stream, state, component]);

	return useMemo(
		() => ({ ...snapshot, reconnect: stream?.reconnect ?? doNothing }),
		[snapshot, stream],
	);
}

const nothingYet = () => NOTHING_YET;
const doNothing = () => {};
const subscribeToNothing = () => doNothing;
