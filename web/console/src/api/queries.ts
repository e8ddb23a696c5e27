/** What more than one page asks the server for: names, how often it is asked again, and what counts as the same question. */
import { QueryClient, queryOptions } from "@tanstack/react-query";
import { ApiError, get } from "./client";
import type { Project, Runner, ServerStatus } from "./types";

/** How often something is asked again by itself, before people are told. */
const TRIES = 2;

/** The console's cache. What the server has refused is not asked again by itself; what it could not answer just now is. */
export function newQueryClient(): QueryClient {
	return new QueryClient({
		defaultOptions: {
			queries: {
				// Hopline may run on this very machine: a browser without a network can reach it all the same.
				networkMode: "always",
				staleTime: 1_000,
				retry: (failures, error) => isPassing(error) && failures < TRIES,
				retryDelay: (failure, error) => waitAfter(failure, error),
			},
			mutations: { networkMode: "always" },
		},
	});
}

function isPassing(error: unknown): boolean {
	if (!(error instanceof ApiError)) return false;
	// The shell looks for a server that is away, and asks everything again once it is back.
	return error.code !== "unreachable" && (error.status === 429 || error.status === 503);
}

function waitAfter(failure: number, error: unknown): number {
	const said = error instanceof ApiError ? error.retryAfter : undefined;
	return said === undefined ? Math.min(500 * 2 ** failure, 8_000) : said * 1000;
}

export const projectsQuery = () =>
	queryOptions({
		queryKey: ["projects"],
		queryFn: ({ signal }) => get<{ projects: Project[] }>("api/projects", { signal }),
		select: ({ projects }) => projects,
		staleTime: 10_000,
	});

export const runnersQuery = () =>
	queryOptions({
		queryKey: ["runners"],
		queryFn: ({ signal }) => get<{ runners: Runner[] }>("api/runners", { signal }),
		select: ({ runners }) => runners,
	});

export const statusQuery = () =>
	queryOptions({
		queryKey: ["status"],
		queryFn: ({ signal }) => get<ServerStatus>("api/status", { signal }),
	});
