/** Reads a trace, and while it is live reads on: as often as it changes and as its size allows. */
import { type QueryClient, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef } from "react";
import { ApiError, request } from "../api/client";
import { serverNow } from "../api/clock";
import { TraceModel } from "./model/model";
import { Flag, type Outline } from "./model/outline";

export interface UseTraceOptions {
	/** The build whose trace it is runs. */
	live: boolean;
}

export interface TraceState {
	/** Null until the trace is read, and while the server has nothing of it. */
	model: TraceModel | null;
	isLoading: boolean;
	/** The server has answered, and knows no span of this trace. */
	isUnknown: boolean;
	error: Error | null;
	reload(): void;
}

/** What was last read, and what tells whether it is still so. */
interface Read {
	/** Null where the server has none. */
	readonly outline: Outline | null;
	readonly etag: string | null;
	/** How many times in a row nothing had changed. */
	readonly unchanged: number;
	readonly tookMs: number;
}

const SOONEST_MS = 1_000;
const LATEST_MS = 8_000;

/** Reading takes at most about a tenth of the time: a large trace is read less often. */
const REST_FACTOR = 10;

/** After so many readings without a change, what has not ended by then is not waited for. */
const SETTLED_AFTER = 4;

export function useTrace(traceId: string, { live }: UseTraceOptions): TraceState {
	const client = useQueryClient();
	const wasLive = useRef(live);
	if (live) wasLive.current = true;
	const queryKey = ["trace", traceId];
	const query = useQuery({
		queryKey,
		queryFn: ({ signal }) => readOutline(client, queryKey, traceId, signal),
		structuralSharing: false,
		// Large: kept for a step back, not for long.
		gcTime: 60_000,
		refetchInterval: ({ state }) => nextReading(state.data, live, wasLive.current),
	});
	const { refetch } = query;

	// The last spans are written when a build has ended; what was settled is looked at again.
	useEffect(() => {
		if (!live && wasLive.current) refetch();
	}, [live, refetch]);

	const outline = query.data?.outline ?? null;
	// Nothing moves while nothing is under way, whatever the build's status.
	const grows = live && outline !== null && hasUnfinished(outline);
	const model = useMemo(
		() => (outline ? new TraceModel(outline, grows ? clockOf(outline) : null) : null),
		[outline, grows],
	);
	return {
		model,
		isLoading: query.isPending,
		isUnknown: query.data !== undefined && model === null,
		error: query.data ? null : query.error,
		reload: () => void refetch(),
	};
}

/** In how many milliseconds to read again, or false for not. */
export function nextReading(
	read: Read | undefined,
	live: boolean,
	wasLive: boolean,
): number | false {
	if (!read) return false;
	const unfinished = read.outline !== null && hasUnfinished(read.outline);
	const waitsFor = live || ((wasLive || unfinished) && read.unchanged < SETTLED_AFTER);
	if (!waitsFor) return false;
	const calm = Math.min(SOONEST_MS * 1.5 ** read.unchanged, LATEST_MS);
	return Math.max(calm, read.tookMs * REST_FACTOR);
}

function hasUnfinished({ spans }: Outline): boolean {
	return spans.flags.some((flags) => flags & Flag.pending);
}

async function readOutline(
	client: QueryClient,
	queryKey: readonly string[],
	traceId: string,
	signal: AbortSignal,
): Promise<Read> {
	const known = client.getQueryData<Read>(queryKey);
	const began = performance.now();
	try {
		const answer = await request(`api/traces/${encodeURIComponent(traceId)}?format=outline`, {
			signal,
			headers: known?.etag ? { "if-none-match": known.etag } : {},
		});
		if (answer.status === 304 && known) return { ...known, unchanged: known.unchanged + 1 };
		const outline: Outline = await answer.json();
		const etag = answer.headers.get("etag");
		return {
			outline: outline.spans.id.length > 0 ? outline : null,
			etag,
			unchanged: 0,
			tookMs: performance.now() - began,
		};
	} catch (error) {
		if (!(error instanceof ApiError) || error.status !== 404) throw error;
		const unchanged = known?.outline === null ? known.unchanged + 1 : 0;
		return { outline: known?.outline ?? null, etag: null, unchanged, tookMs: 0 };
	}
}

/** The server's time on the trace's axis. */
function clockOf(outline: Outline): () => number {
	const start = BigInt(outline.startNanos);
	return () => Number(BigInt(Math.round(serverNow())) * 1_000_000n - start);
}
