import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { BatchMessage } from "../protocol.js";
import type { FinishedSpan } from "./span.js";
import { UpdateTracer } from "./tracer.js";

let recorded: FinishedSpan[];
let tracer: UpdateTracer;

function batch(seq: number): BatchMessage {
	return {
		projectId: "p",
		sessionId: "s",
		seq,
		updates: [{ type: "text-delta", data: {}, timestamp: "2026-11-30T12:00:00Z" }],
		_sentry: { trace: `${"a".repeat(32)}-${"b".repeat(16)}-1` },
	} as unknown as BatchMessage;
}

function show(state: DocumentVisibilityState) {
	vi.spyOn(document, "visibilityState", "get").mockReturnValue(state);
	document.dispatchEvent(new Event("visibilitychange"));
}

beforeEach(() => {
	vi.useFakeTimers();
	recorded = [];
	tracer = new UpdateTracer((spans) => recorded.push(...spans));
});

afterEach(() => {
	vi.restoreAllMocks();
	vi.useRealTimers();
});

test("a paint is told of under the receipt that it shows", async () => {
	tracer.applied(batch(1), "c", Date.now());
	tracer.drawn("Build");
	await vi.advanceTimersByTimeAsync(100);
	expect(recorded.map(({ name }) => name)).toEqual([
		"useBuildWebSocket.text-delta",
		"react.render.Build",
	]);
	expect(recorded[1]?.parentId).toBe(recorded[0]?.spanId);
});

test("what is drawn while nobody looks leaves at once, and no later paint is taken for its own", async () => {
	show("hidden");
	for (let seq = 1; seq <= 1_000; seq++) {
		tracer.applied(batch(seq), "c", Date.now());
		tracer.drawn("Build");
	}
	expect(recorded).toHaveLength(1_000);
	show("visible");
	await vi.advanceTimersByTimeAsync(10_000);
	expect(recorded.some(({ name }) => name.startsWith("react.render"))).toBe(false);
});
