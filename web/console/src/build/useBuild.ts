/** A build as it is now: its row as it was read, and everything that live updates say since. */
import { type BuildState, type BuildWebSocket, type Todo, useBuildWebSocket } from "@hopline/react";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef } from "react";
import { apiUrl, wsUrl } from "../api/client";
import { useIsAway } from "../api/presence";
import { type BuildDetail, buildQuery } from "./queries";

export interface LiveBuild {
	live: BuildWebSocket;
	/** The row, with what is newer from the state. */
	build: BuildDetail;
}

export function useBuild(id: string, row: BuildDetail): LiveBuild {
	const { sessionId, projectId } = row;
	const live = useBuildWebSocket({
		url: wsUrl("ws"),
		projectId,
		sessionId,
		tracing: {
			to: "hopline",
			url: apiUrl("v1/traces"),
			service: "hopline-console",
			component: "BuildPage",
		},
	});
	useRow(id, live);
	useReturn(live);
	const { state, seq } = live;
	const build = useMemo(() => (state ? withState(row, state, seq) : row), [row, state, seq]);
	return { live, build };
}

/**
 * Reads the row again when it may say something that live updates do not: how events have ended, and, where they cannot be
 * had, whether the server is away or wants a sign-in.
 */
function useRow(id: string, { state, error }: BuildWebSocket) {
	const client = useQueryClient();
	const standing = state && `${state.status} ${state.final} ${state.incomplete}`;
	useEffect(() => {
		const isNews = standing !== null || error !== null;
		if (isNews) void client.invalidateQueries({ queryKey: buildQuery(id).queryKey });
	}, [client, id, standing, error]);
}

/** Goes on as soon as the server is back, which the shell looks for. */
function useReturn({ isConnected, reconnect }: BuildWebSocket) {
	const isAway = useIsAway();
	const wasAway = useRef(false);
	useEffect(() => {
		if (wasAway.current && !isAway && !isConnected) reconnect();
		wasAway.current = isAway;
	}, [isAway, isConnected, reconnect]);
}

function withState(row: BuildDetail, state: BuildState, seq: number): BuildDetail {
	const { projectName, status, final, incomplete, errorMessage, exitCode, summary, endTime } =
		state;
	const isDone = (todo: Todo) => todo.status === "completed";
	return {
		...row,
		...{ projectName, status, final, incomplete, errorMessage, exitCode, summary },
		traceId: state.traceId ?? row.traceId,
		lastSeq: Math.max(seq, row.lastSeq),
		endedAt: endTime,
		todosDone: state.todos.filter(isDone).length,
		todosTotal: state.todos.length,
	};
}
