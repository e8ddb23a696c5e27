import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { act, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { get } from "../../api/client";
import { AwayBar } from "./AwayBar";

const fetched = vi.fn<typeof fetch>();

beforeEach(() => {
	vi.useFakeTimers();
	vi.stubGlobal("fetch", fetched);
});

afterEach(() => {
	vi.useRealTimers();
	vi.unstubAllGlobals();
});

function Count() {
	const { data } = useQuery({
		queryKey: ["count"],
		queryFn: () => get<{ count: number }>("api/count"),
		retry: false,
	});
	return <p>{data ? `count ${data.count}` : "nothing yet"}</p>;
}

test("while the server is away it says so, and once it is back all is read again by itself", async () => {
	fetched.mockRejectedValue(new TypeError("refused"));
	render(
		<QueryClientProvider client={new QueryClient()}>
			<AwayBar />
			<Count />
		</QueryClientProvider>,
	);
	await act(() => vi.advanceTimersByTimeAsync(100));
	expect(screen.getByText(/The server is away/)).toBeTruthy();
	expect(screen.getByText("nothing yet")).toBeTruthy();

	fetched.mockImplementation(async () => new Response(JSON.stringify({ count: 7 })));
	await act(() => vi.advanceTimersByTimeAsync(5_000));
	expect(screen.queryByText(/The server is away/)).toBeNull();
	expect(screen.getByText("count 7")).toBeTruthy();
});

test("while the page is hidden nothing looks for the server, and once it is seen something does at once", async () => {
	fetched.mockRejectedValue(new TypeError("refused"));
	render(
		<QueryClientProvider client={new QueryClient()}>
			<AwayBar />
			<Count />
		</QueryClientProvider>,
	);
	await act(() => vi.advanceTimersByTimeAsync(100));
	const hidden = vi.spyOn(document, "hidden", "get").mockReturnValue(true);
	const before = fetched.mock.calls.length;
	await act(() => vi.advanceTimersByTimeAsync(600_000));
	expect(fetched.mock.calls.length).toBe(before);

	hidden.mockReturnValue(false);
	fetched.mockImplementation(async () => new Response(JSON.stringify({ count: 7 })));
	document.dispatchEvent(new Event("visibilitychange"));
	await act(() => vi.advanceTimersByTimeAsync(10));
	expect(screen.getByText("count 7")).toBeTruthy();
});
