import { QueryClient } from "@tanstack/react-query";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { logPageQuery, PAGE, type RawEvent } from "./log";

function event(seq: number, more: Partial<RawEvent> = {}): RawEvent {
	const outcome = "committed" as const;
	return { seq, type: "ack", outcome, reason: null, receivedAt: "", ...more };
}

function streamed(seq: number, part: object): RawEvent {
	return event(seq, { type: "build-stream", body: { data: `data: ${JSON.stringify(part)}\n\n` } });
}

/** Answers requests for a log that has these events, a few at a time. */
function serve(events: readonly RawEvent[], atOnce: number): string[] {
	const asked: string[] = [];
	vi.stubGlobal("fetch", async (url: string) => {
		asked.push(new URL(url).search);
		const after = Number(new URL(url).searchParams.get("after"));
		const limit = Number(new URL(url).searchParams.get("limit"));
		const page = events.filter(({ seq }) => seq > after).slice(0, Math.min(atOnce, limit));
		const last = page.at(-1)?.seq ?? 0;
		const next = last < (events.at(-1)?.seq ?? 0) ? last : null;
		return Response.json({ events: page, next });
	});
	return asked;
}

beforeEach(() => vi.stubGlobal("document", { baseURI: "http://hopline.test/" }));
afterEach(() => vi.unstubAllGlobals());

test("a page is read until it is whole, and what the log does not have is left open", async () => {
	const events = Array.from({ length: 130 }, (_, at) => event(at + 1)).filter(
		({ seq }) => seq !== 105,
	);
	const asked = serve(events, 12);
	const { lines } = await new QueryClient().fetchQuery(logPageQuery("s", 1, 130));
	expect(asked).toEqual(["?after=100&limit=30", "?after=113&limit=17", "?after=125&limit=5"]);
	expect(lines.length).toBe(30);
	expect(lines[4]).toBeUndefined();
	expect([lines[0]?.seq, lines[29]?.seq]).toEqual([PAGE + 1, 130]);
});

test("an event is told in a line: the part it carries, or why it was refused", async () => {
	serve(
		[
			streamed(1, { type: "text-delta", id: "t", delta: "two\nlines" }),
			streamed(2, { type: "tool-input-available", toolCallId: "c1", toolName: "Bash", input: {} }),
			event(3, {
				type: "build-stream",
				body: { data: "nonsense" },
				outcome: "rejected",
				reason: "bad_part",
			}),
			event(4, { type: "build-failed", body: { error: "cancelled" } }),
			event(5, { type: "log-chunk", body: null }),
			streamed(6, { type: "text-delta", id: "t", delta: "x".repeat(10_000) }),
		],
		100,
	);
	const { lines } = await new QueryClient().fetchQuery(logPageQuery("s", 0, 6));
	expect(lines.slice(0, 5).map((line) => [line?.type, line?.summary])).toEqual([
		["text-delta", "two lines"],
		["tool-input-available", "Bash · c1"],
		["build-stream", "bad_part"],
		["build-failed", "cancelled"],
		["log-chunk", ""],
	]);
	expect(lines[5]?.summary.length).toBeLessThan(400);
});
