/** The build whose trace it is, read again while it runs. */
import { useQuery } from "@tanstack/react-query";
import { get, hasCode } from "../api/client";
import type { BuildRow } from "../api/types";

const POLL_MS = 2_000;

/** Undefined until the server has said; null if no build has this trace. */
export function useBuildOfTrace(traceId: string): BuildRow | null | undefined {
	const { data } = useQuery({
		queryKey: ["build", "of trace", traceId],
		queryFn: ({ signal }) =>
			// A trace's id names its build as well.
			get<BuildRow>(`api/builds/${encodeURIComponent(traceId)}?state=false`, { signal }).catch(
				(error: unknown) => {
					if (hasCode(error, "not_found")) return null;
					throw error;
				},
			),
		refetchInterval: ({ state }) => (state.data?.status === "active" ? POLL_MS : false),
	});
	return data;
}
