import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, renderHook, waitFor } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { outlineOf, type SpanLine } from "./fixtures/outline";
import { nextReading, useTrace } from "./useTrace";

const fetched = vi.fn<typeof fetch>();

beforeEach(() => {
	fetched.mockReset();
	vi.stubGlobal("fetch", fetched);
});

afterEach(() => {
	vi.unstubAllGlobals();
	vi.useRealTimers();
});

const span: SpanLine = { id: "a", start: 0, duration: 1 };
const running: SpanLine = { ...span, flags: 1 };

const found = (lines: SpanLine[], etag = '"1"') =>
	new Response(JSON.stringify(outlineOf(lines)), { headers: { etag } });
const unknown = () =>
	new Response(JSON.stringify({ error: "no such trace", code: "not_found" }), { status: 404 });
const unchanged = () => new Response(null, { status: 304 });

function read(live: boolean) {
	const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
	const wrapper = ({ children }: { children: ReactNode }) => (
		<QueryClientProvider client={client}>{children}</QueryClientProvider>
	);
	return renderHook(({ live }) => useTrace("4bf9", { live }), { wrapper, initialProps: { live } });
}

describe("reading a trace", () => {
	test("gives its model", async () => {
		fetched.mockImplementation(async () => found([span]));
		const { result } = read(false);
		expect(result.current.isLoading).toBe(true);
		await waitFor(() => expect(result.current.model?.count).toBe(1));
		expect(result.current.model?.now).toBeNull();
		expect(String(fetched.mock.calls[0]?.[0])).toMatch(/api\/traces\/4bf9\?format=outline$/);
	});

	test("says so when the server knows none, or has nothing of it yet", async () => {
		fetched.mockImplementation(async () => unknown());
		const { result } = read(false);
		await waitFor(() => expect(result.current.isUnknown).toBe(true));
		expect(result.current.error).toBeNull();
	});

	test("gives what went wrong", async () => {
		fetched.mockImplementation(async () => new Response("{}", { status: 500 }));
		const { result } = read(false);
		await waitFor(() => expect(result.current.error).not.toBeNull());
	});

	test("while it is live asks again by the tag, and keeps the model until there is another", async () => {
		vi.useFakeTimers();
		fetched.mockImplementationOnce(async () => found([running]));
		fetched.mockImplementationOnce(async () => unchanged());
		fetched.mockImplementation(async () => found([running, { ...span, id: "b" }], '"2"'));
		const { result } = read(true);
		await act(() => vi.advanceTimersByTimeAsync(0));
		const first = result.current.model;
		expect(first?.now).not.toBeNull();
		await act(() => vi.advanceTimersByTimeAsync(1_000));
		expect(new Headers(fetched.mock.calls[1]?.[1]?.headers).get("if-none-match")).toBe('"1"');
		expect(result.current.model).toBe(first);
		await act(() => vi.advanceTimersByTimeAsync(2_000));
		expect(result.current.model?.count).toBe(2);
	});

	test("a trace that is there does not vanish with an answer that has none", async () => {
		vi.useFakeTimers();
		fetched.mockImplementationOnce(async () => found([running]));
		fetched.mockImplementation(async () => unknown());
		const { result } = read(true);
		await act(() => vi.advanceTimersByTimeAsync(5_000));
		expect(result.current.model?.count).toBe(1);
	});

	test("when the build has ended it reads the last spans, and then rests", async () => {
		vi.useFakeTimers();
		fetched.mockImplementation(async () => found([span]));
		const { rerender } = read(true);
		await act(() => vi.advanceTimersByTimeAsync(0));
		fetched.mockClear();
		fetched.mockImplementation(async () => unchanged());
		rerender({ live: false });
		await act(() => vi.advanceTimersByTimeAsync(60_000));
		expect(fetched.mock.calls.length).toBeGreaterThan(1);
		expect(fetched.mock.calls.length).toBeLessThan(8);
	});
});

describe("when a trace is read again", () => {
	const after = { outline: outlineOf([span]), etag: null, unchanged: 0, tookMs: 10 };

	test("one that has ended is not", () => {
		expect(nextReading(after, false, false)).toBe(false);
	});

	test("one that is live is, at first each second, less often while nothing changes", () => {
		expect(nextReading(after, true, true)).toBe(1_000);
		expect(nextReading({ ...after, unchanged: 3 }, true, true)).toBeGreaterThan(3_000);
		expect(nextReading({ ...after, unchanged: 50 }, true, true)).toBe(8_000);
	});

	test("a large one is read as seldom as its size asks for", () => {
		expect(nextReading({ ...after, tookMs: 2_000 }, true, true)).toBe(20_000);
	});

	test("spans that never end are waited for, but not for ever", () => {
		const open = { ...after, outline: outlineOf([running]) };
		expect(nextReading(open, false, false)).toBe(1_000);
		expect(nextReading({ ...open, unchanged: 4 }, false, false)).toBe(false);
	});
});
