/** What a build's page asks the server for, beside live updates. */
import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { get } from "../api/client";
import type { BuildRow } from "../api/types";
import type { EventPath } from "./path/types";

/** How a build's events have ended. */
export interface Outcomes {
	committed: number;
	duplicate: number;
	/** Refused for good, by reason. */
	rejected: Record<string, number>;
	/** Given up by the runner. */
	expired: number;
}

/** A build's row, with what only a look at one build tells. */
export interface BuildDetail extends BuildRow {
	outcomes: Outcomes | null;
}

/** A build by any of its names: the session's, the build's, the command's or the trace's id. */
export const buildQuery = (id: string) =>
	queryOptions({
		queryKey: ["build", id],
		queryFn: ({ signal }) =>
			get<BuildDetail>(`api/builds/${encodeURIComponent(id)}?state=false`, { signal }),
	});

/** A tool call with all of its input and output. */
export interface WholeCall {
	input?: unknown;
	output?: unknown;
}

/** A whole call is large, and let go of once it is not shown. */
export const wholeCallQuery = (sessionId: string, callId: string) =>
	queryOptions({
		queryKey: ["build", sessionId, "call", callId],
		queryFn: ({ signal }) =>
			get<WholeCall>(`api/builds/${sessionId}/tool-calls/${encodeURIComponent(callId)}`, {
				signal,
			}),
		staleTime: Number.POSITIVE_INFINITY,
		gcTime: 0,
		structuralSharing: false,
	});

/** How often the path of a running build is read again at most, and how much of the time reading it may take. */
const PATH_MS = 2_000;
const REST_FACTOR = 8;

/** Spans come a moment after the build's end. */
const LAST_SPANS_MS = 5_000;

/** The path of a build's events; while the build runs it is read again and again, a large one less often. */
export const pathQuery = (sessionId: string, isActive: boolean) =>
	queryOptions({
		queryKey: ["build", sessionId, "path", isActive],
		queryFn: async ({ signal }) => {
			const began = performance.now();
			const path = await get<EventPath>(`api/builds/${sessionId}/path`, { signal });
			return { path, tookMs: performance.now() - began };
		},
		placeholderData: keepPreviousData,
		retry: false,
		refetchInterval: ({ state: { data, dataUpdateCount, errorUpdateCount } }) => {
			if (isActive) return Math.max(PATH_MS, (data?.tookMs ?? 0) * REST_FACTOR);
			return dataUpdateCount + errorUpdateCount < 2 ? LAST_SPANS_MS : false;
		},
	});
