/** The builds that the address asks for, read anew every second while the page is in sight, and how fast their events come. */
import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { get, hasCode } from "../api/client";
import { projectsQuery } from "../api/queries";
import type { BuildList, BuildRow } from "../api/types";
import { matches, mayBeId } from "./match";
import { NO_RATES, nextRates, type Rates } from "./rates";
import type { BuildsSearch } from "./search";

const POLL_MS = 1_000;
const PAGE = 100;

/** Reading more pages takes longer; from here on they are read less often, so that the server has no more to do. */
const PAGES_A_POLL = 2;

export interface Builds {
	/** Newest first; none before the first answer. */
	builds: BuildRow[] | undefined;
	/** How many of them were looked through for the words. */
	searched: number;
	rates: Rates;
	error: unknown;
	retry(): void;
	/** Reads older ones; none if these are all. */
	older: (() => void) | undefined;
	isReadingOlder: boolean;
}

export function useBuilds({ status, project, q }: BuildsSearch): Builds {
	const query = useInfiniteQuery({
		queryKey: ["builds", "list", { status, project }],
		queryFn: ({ pageParam, signal }) =>
			get<BuildList>(`api/builds?${parameters({ status, project, cursor: pageParam })}`, {
				signal,
			}),
		initialPageParam: "",
		getNextPageParam: (last) => last.nextCursor || undefined,
		refetchInterval: ({ state }) =>
			POLL_MS * Math.max(1, (state.data?.pages.length ?? 1) / PAGES_A_POLL),
		placeholderData: keepPreviousData,
	});
	const rows = useNamed(query.data?.pages.flatMap((page) => page.builds));
	const byId = useBuildById(q);
	const rates = useRates(rows, query.dataUpdatedAt);
	const found = rows && q ? rows.filter((build) => matches(build, q)) : rows;
	return {
		builds: found?.length === 0 && byId ? [byId] : found,
		searched: rows?.length ?? 0,
		rates,
		error: query.error,
		retry: query.refetch,
		older: query.hasNextPage ? query.fetchNextPage : undefined,
		isReadingOlder: query.isFetchingNextPage,
	};
}

function parameters(given: Record<string, string | undefined>): URLSearchParams {
	const parameters = new URLSearchParams({ limit: String(PAGE) });
	for (const [name, value] of Object.entries(given)) if (value) parameters.set(name, value);
	return parameters;
}

/** Gives rows the names of their projects, where the server has left them out. */
function useNamed(rows: BuildRow[] | undefined): BuildRow[] | undefined {
	const { data: projects } = useQuery(projectsQuery());
	return rows?.map((row) => {
		if (row.projectName) return row;
		const project = projects?.find((project) => project.id === row.projectId);
		return project ? { ...row, projectName: project.name, projectSlug: project.slug } : row;
	});
}

/** The build that an id names, which may be older than all that were read. */
function useBuildById(words: string | undefined): BuildRow | undefined {
	const id = words?.trim() ?? "";
	const { data } = useQuery({
		queryKey: ["builds", "row", id],
		queryFn: ({ signal }) =>
			get<BuildRow>(`api/builds/${encodeURIComponent(id)}?state=false`, { signal }).catch(
				(error) => {
					if (hasCode(error, "not_found")) return null;
					throw error;
				},
			),
		enabled: mayBeId(id),
	});
	return data ?? undefined;
}

function useRates(builds: readonly BuildRow[] | undefined, at: number): Rates {
	const [known, setKnown] = useState({ rates: NO_RATES, at: 0 });
	if (builds && at !== known.at) {
		const next = { rates: nextRates(known.rates, builds, at), at };
		setKnown(next);
		return next.rates;
	}
	return known.rates;
}
