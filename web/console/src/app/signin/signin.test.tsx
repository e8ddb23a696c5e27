import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, renderHook, waitFor } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { validateSearch } from "./search";
import { useSignIn } from "./useSignIn";

const fetched = vi.fn<typeof fetch>();

beforeEach(() => vi.stubGlobal("fetch", fetched));

afterEach(() => {
	vi.unstubAllGlobals();
	vi.useRealTimers();
	localStorage.clear();
});

function answers(status: number, body: unknown, headers: Record<string, string> = {}) {
	fetched.mockImplementation(async () => new Response(JSON.stringify(body), { status, headers }));
}

function signIn(onSignedIn = vi.fn()) {
	const client = new QueryClient();
	const wrapper = ({ children }: { children: ReactNode }) => (
		<QueryClientProvider client={client}>{children}</QueryClientProvider>
	);
	return renderHook(() => useSignIn(onSignedIn), { wrapper });
}

describe("signing in", () => {
	test("with the right secret leads on", async () => {
		answers(200, { ok: true });
		const onSignedIn = vi.fn();
		const { result } = signIn(onSignedIn);
		await act(() => result.current.signIn("right"));
		expect(onSignedIn).toHaveBeenCalledOnce();
		expect(result.current.problem).toBeUndefined();
	});

	test("with a wrong secret says that it is wrong", async () => {
		answers(403, { error: "the secret is wrong", code: "forbidden" });
		const { result } = signIn();
		await act(() => result.current.signIn("wrong"));
		await waitFor(() => expect(result.current.problem).toEqual({ kind: "wrong" }));
	});

	test("too often says how long to wait, and counts down to where it may be tried again", async () => {
		vi.useFakeTimers();
		answers(429, { error: "wait", code: "too_many_attempts" }, { "retry-after": "2" });
		const { result } = signIn();
		await act(() => result.current.signIn("wrong"));
		expect(result.current.secondsToWait).toBe(2);
		expect(result.current.problem).toBeUndefined();
		await act(() => vi.advanceTimersByTimeAsync(1_000));
		expect(result.current.secondsToWait).toBe(1);
		await act(() => vi.advanceTimersByTimeAsync(1_000));
		expect(result.current.secondsToWait).toBe(0);
	});

	test("without a server says that, and not that the secret is wrong", async () => {
		fetched.mockRejectedValue(new TypeError("refused"));
		const { result } = signIn();
		await act(() => result.current.signIn("right"));
		await waitFor(() => expect(result.current.problem).toMatchObject({ kind: "other" }));
	});
});

test("a link can make the sign-in lead to nowhere but the console", () => {
	expect(validateSearch({ to: "/builds/1?tab=log" })).toEqual({ to: "/builds/1?tab=log" });
	for (const to of [
		"https://evil.example",
		"//evil.example",
		"/\\evil.example",
		"javascript:1",
		7,
	]) {
		expect(validateSearch({ to })).toEqual({});
	}
});
