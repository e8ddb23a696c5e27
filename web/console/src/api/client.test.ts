// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ApiError, apiUrl, get, onSignedOut, send, wsUrl } from "./client";

const fetched = vi.fn<typeof fetch>();

beforeEach(() => {
	vi.stubGlobal("fetch", fetched);
	document.head.innerHTML = '<base href="https://hop.example/tools/hopline/">';
});

afterEach(() => {
	vi.unstubAllGlobals();
	fetched.mockReset();
	document.head.replaceChildren();
});

function answers(body: unknown, status = 200, headers: Record<string, string> = {}) {
	fetched.mockImplementation(async () => new Response(JSON.stringify(body), { status, headers }));
}

async function failure(work: Promise<unknown>): Promise<ApiError> {
	const error = await work.then(
		() => undefined,
		(error: unknown) => error,
	);
	if (error instanceof ApiError) return error;
	throw new Error(`expected an ApiError, got ${String(error)}`);
}

test("every address lies under the path that the page is served at", () => {
	expect(apiUrl("api/builds?limit=5")).toBe("https://hop.example/tools/hopline/api/builds?limit=5");
	expect(apiUrl("/api/builds")).toBe("https://hop.example/tools/hopline/api/builds");
	expect(wsUrl("ws?since=3")).toBe("wss://hop.example/tools/hopline/ws?since=3");
});

describe("a request", () => {
	test("gives the answer's JSON", async () => {
		answers({ builds: [] });
		expect(await get("api/builds")).toEqual({ builds: [] });
	});

	test("sends JSON, and an empty object where there is nothing to say", async () => {
		answers({ ok: true });
		await send("POST", "api/builds/1/cancel");
		const [, init] = fetched.mock.calls[0] ?? [];
		expect(init).toMatchObject({ method: "POST", body: "{}" });
		expect(new Headers(init?.headers).get("content-type")).toBe("application/json");
	});

	test("that is refused tells the server's code, its words, and when to try again", async () => {
		answers({ error: "wait", code: "too_many_attempts" }, 429, { "retry-after": "7" });
		expect(await failure(send("POST", "signin", {}))).toMatchObject({
			status: 429,
			code: "too_many_attempts",
			message: "wait",
			retryAfter: 7,
		});
	});

	test("without a server is unreachable, as is one that a proxy answers in its place", async () => {
		fetched.mockRejectedValueOnce(new TypeError("refused"));
		expect(await failure(get("api/builds"))).toMatchObject({ status: 0, code: "unreachable" });
		fetched.mockImplementation(async () => new Response("<h1>Bad gateway</h1>", { status: 502 }));
		expect(await failure(get("api/builds"))).toMatchObject({ code: "unreachable" });
	});

	test("that is given up stays an abort", async () => {
		const giveUp = new AbortController();
		fetched.mockImplementation(async () => {
			giveUp.abort();
			throw giveUp.signal.reason;
		});
		await expect(get("api/builds", { signal: giveUp.signal })).rejects.toMatchObject({
			name: "AbortError",
		});
	});

	test("that needs a sign-in says so to whoever listens", async () => {
		const listener = vi.fn();
		const end = onSignedOut(listener);
		answers({ error: "a credential is missing", code: "unauthorized" }, 401);
		await failure(get("api/builds"));
		end();
		await failure(get("api/builds"));
		expect(listener).toHaveBeenCalledTimes(1);
	});
});
