/** A build as it is now: its row as it was read, and everything that live updates say since. */
import { type BuildState, type BuildWebSocket, useBuildWebSocket } from "@hopline/react";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef } from "react";
import { apiUrl, wsUrl } from "../api/client";
import { missed, useIsAway } from "../api/presence";
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
	useReturn(live);
	useOutcomes(id, live.state);
	const { state, seq } = live;
	const build = useMemo(() => (state ? withState(row, state, seq) : row), [row, state, seq]);
	return { live, build };
}

/** Goes on as soon as the server is back, which the shell looks for. */
function useReturn({ error, isConnected, reconnect }: BuildWebSocket) {
	const isAway = useIsAway();
	const wasAway = useRef(false);
	useEffect(() => {
		if (error?.code === "unreachable") missed();
	}, [error]);
	useEffect(() => {
		if (wasAway.current && !isAway && !isConnected) reconnect();
		wasAway.current = isAway;
	}, [isAway, isConnected, reconnect]);
}

/** How events have ended is told by the row alone, and changes with these. */
function useOutcomes(id: string, state: BuildState | null) {
	const client = useQueryClient();
	const standing = state && `${state.status} ${state.final} ${state.incomplete}`;
	useEffect(() => {
		if (standing) void client.invalidateQueries({ queryKey: buildQuery(id).queryKey });
	}, [client, id, standing]);
}

function withState(row: BuildDetail, state: BuildState, seq: number): BuildDetail {
	const { projectName, status, final, incomplete, errorMessage, exitCode, summary, endTime } =
		state;
	const isDone = (todo: BuildState["todos"][number]) => todo.status === "completed";
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
