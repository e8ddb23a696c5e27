import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, render, screen } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { UiProvider } from "../ui";
import { Page } from "./page";

afterEach(() => {
	vi.useRealTimers();
	vi.unstubAllGlobals();
});

const RUNNER = {
	...{ id: "one", link: "up", brokerUrl: null, status: null },
	lastSeenAt: "2026-11-30T15:12:25.671Z",
};

const noDatabase = () =>
	Response.json({ error: "no database", code: "database_unavailable" }, { status: 503 });

/** The page, which asks nothing again by itself. */
function show(): QueryClient {
	const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
	render(
		<UiProvider>
			<QueryClientProvider client={client}>
				<Page />
			</QueryClientProvider>
		</UiProvider>,
	);
	return client;
}

test("runners that could not be read anew are shown as they were, and said to be old", async () => {
	vi.useFakeTimers();
	let isFailing = false;
	vi.stubGlobal("fetch", async (url: string) => {
		if (isFailing) return noDatabase();
		const { pathname } = new URL(url);
		return Response.json(pathname === "/api/runners" ? { runners: [RUNNER] } : { builds: [] });
	});
	show();
	await act(() => vi.advanceTimersByTimeAsync(100));
	expect(screen.getByText("1 of 1 linked")).toBeTruthy();
	expect(screen.queryByText(/Not refreshed/)).toBeNull();

	isFailing = true;
	await act(() => vi.advanceTimersByTimeAsync(3_000));
	expect(screen.getByText("1 of 1 linked")).toBeTruthy();
	expect(screen.getByText(/Not refreshed since .* The database is busy/)).toBeTruthy();

	isFailing = false;
	await act(() => vi.advanceTimersByTimeAsync(3_000));
	expect(screen.queryByText(/Not refreshed/)).toBeNull();
});

test("what a runner runs is not told as nothing while that is not known", async () => {
	let isKnown = false;
	vi.stubGlobal("fetch", async (url: string) => {
		const { pathname } = new URL(url);
		if (pathname === "/api/runners") return Response.json({ runners: [RUNNER] });
		return isKnown ? Response.json({ builds: [] }) : noDatabase();
	});
	const client = show();
	expect(await screen.findByText("1 of 1 linked")).toBeTruthy();
	expect(screen.queryByText("Nothing")).toBeNull();

	isKnown = true;
	await act(() => client.refetchQueries());
	expect(await screen.findByText("Nothing")).toBeTruthy();
});
