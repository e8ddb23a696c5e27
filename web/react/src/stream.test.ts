import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Update } from "./protocol.js";
import { BuildStream, type BuildStreamOptions } from "./stream.js";
import {
	batch,
	ended,
	FakeSocket,
	fakeSocket,
	PROJECT,
	SESSION,
	snapshot,
	text,
} from "./testing.js";

let stream: BuildStream;

/** A stream that has connected once. */
async function follow(more: Partial<BuildStreamOptions> = {}): Promise<BuildStream> {
	stream = new BuildStream({
		url: "http://hopline.test/under/ws",
		projectId: PROJECT,
		sessionId: SESSION,
		webSocket: fakeSocket,
		tracing: false,
		...more,
	});
	stream.start();
	await settled();
	return stream;
}

/** All that does not wait for time has happened. */
async function settled() {
	await vi.advanceTimersByTimeAsync(0);
}

function shown(): string | undefined {
	return stream
		.getSnapshot()
		.state?.textByTodo[-1]?.map((one) => one.text)
		.join();
}

/** What the server is asked for, but for heartbeats. */
function asked(): unknown[] {
	return FakeSocket.last.sent
		.map((one) => JSON.parse(one).type)
		.filter((type) => type !== "heartbeat");
}

function setVisibility(state: DocumentVisibilityState) {
	vi.spyOn(document, "visibilityState", "get").mockReturnValue(state);
	document.dispatchEvent(new Event("visibilitychange"));
}

beforeEach(() => {
	vi.useFakeTimers();
	vi.spyOn(Math, "random").mockReturnValue(0);
	FakeSocket.made = [];
});

afterEach(() => {
	stream.stop();
	vi.useRealTimers();
	vi.restoreAllMocks();
});

test("it begins with the whole state and goes on with what comes after it", async () => {
	await follow();
	expect(FakeSocket.last.url.href).toBe(
		`ws://hopline.test/under/ws?projectId=${PROJECT}&sessionId=${SESSION}`,
	);
	expect(FakeSocket.last.protocols).toEqual([]);
	expect(stream.getSnapshot()).toMatchObject({ state: null, isConnected: false, error: null });
	FakeSocket.last.open();
	FakeSocket.last.receive(snapshot(5));
	FakeSocket.last.receive(batch(7, [text("a"), text("b")]));
	FakeSocket.last.receive(batch(9, [text("c")]));
	expect(shown()).toBe("abc");
	expect(stream.getSnapshot()).toMatchObject({ seq: 9, isConnected: true, isReconnecting: false });
	expect(stream.getSnapshot().state).toMatchObject({ commandId: "c", status: "active" });
});

test("what is at or below its own number is passed over, but for what has no number of its own", async () => {
	await follow();
	FakeSocket.last.open();
	FakeSocket.last.receive(batch(4, [text("early")]));
	FakeSocket.last.receive(snapshot(5));
	FakeSocket.last.receive(batch(5, [text("twice")]));
	FakeSocket.last.receive(batch(3, [text("old"), ended("completed")]));
	FakeSocket.last.receive(batch(6, [text("a")]));
	FakeSocket.last.receive(batch(6, [text("a")]));
	expect(shown()).toBe("a");
	expect(stream.getSnapshot().state?.status).toBe("active");
	FakeSocket.last.receive(batch(6, [text("a"), ended("failed")]));
	expect(shown()).toBe("a");
	expect(stream.getSnapshot()).toMatchObject({ seq: 6, state: { status: "failed" } });
});

test("messages that are not understood, and other builds', say nothing", async () => {
	await follow();
	FakeSocket.last.open();
	FakeSocket.last.receive(snapshot(1));
	const before = stream.getSnapshot();
	for (const message of [
		"nonsense",
		"null",
		{ type: "of-tomorrow" },
		{ type: "batch-update", seq: 2 },
	]) {
		FakeSocket.last.receive(message);
	}
	FakeSocket.last.receive(batch(2, [text("x")], { sessionId: "another" }));
	expect(stream.getSnapshot()).toBe(before);
});

test("after a gap it asks for the whole state, and takes no update until that comes", async () => {
	await follow();
	FakeSocket.last.open();
	FakeSocket.last.receive(snapshot(5));
	FakeSocket.last.receive(batch(6, [text("a")], { after: 5 }));
	FakeSocket.last.receive(batch(9, [text("c")], { after: 8 }));
	FakeSocket.last.receive(batch(10, [text("d")], { after: 9 }));
	expect(shown()).toBe("a");
	expect(asked()).toEqual(["get-state"]);
	const whole = { id: "t", kind: "text" as const, text: "abcd", timestamp: "" };
	FakeSocket.last.receive(snapshot(10, { textByTodo: { "-1": [whole] } }));
	FakeSocket.last.receive(batch(11, [text("e")], { after: 9 }));
	expect(shown()).toBe("abcde");
});

test("an update that cannot be folded leads to the whole state too", async () => {
	await follow();
	FakeSocket.last.open();
	FakeSocket.last.receive(snapshot(5));
	FakeSocket.last.receive(batch(6, [{ type: "tool-call", data: null } as unknown as Update]));
	expect(asked()).toEqual(["get-state"]);
	expect(stream.getSnapshot().seq).toBe(5);
});

test("after an interruption it goes on where it was", async () => {
	await follow();
	FakeSocket.last.open();
	FakeSocket.last.receive(snapshot(5));
	FakeSocket.last.receive(batch(6, [text("a")]));
	const { state } = stream.getSnapshot();
	FakeSocket.last.break();
	expect(stream.getSnapshot()).toMatchObject({
		state,
		isConnected: false,
		isReconnecting: true,
		error: { code: "unreachable" },
	});
	await vi.advanceTimersByTimeAsync(1_000);
	expect(FakeSocket.made).toHaveLength(2);
	expect(FakeSocket.last.url.searchParams.get("since")).toBe("6");
	FakeSocket.last.open();
	expect(stream.getSnapshot()).toMatchObject({
		isConnected: true,
		isReconnecting: false,
		error: null,
	});
	FakeSocket.last.receive(batch(7, [text("b")]));
	expect(shown()).toBe("ab");
});

test("a state that comes after an interruption shares with what is known", async () => {
	await follow();
	FakeSocket.last.open();
	const one = {
		id: "a",
		name: "Bash",
		state: "output-available" as const,
		output: 1,
		startTime: "1",
	};
	const two = { id: "b", name: "Bash", state: "input-available" as const, startTime: "2" };
	FakeSocket.last.receive(snapshot(5, { toolsByTodo: { "0": [one, two], "1": [one] } }));
	const before = stream.getSnapshot().state;
	const done = { ...two, state: "output-available" as const, output: 2, endTime: "3" };
	FakeSocket.last.receive(snapshot(9, { toolsByTodo: { "0": [one, done], "1": [one] } }));
	const after = stream.getSnapshot().state;
	expect(after?.toolsByTodo[0]?.[0]).toBe(before?.toolsByTodo[0]?.[0]);
	expect(after?.toolsByTodo[0]?.[1]).toMatchObject({ output: 2 });
	expect(after?.toolsByTodo[1]).toBe(before?.toolsByTodo[1]);
	expect(stream.getSnapshot().seq).toBe(9);
});

test("the waits between attempts grow, to a bound, by chance, and begin anew after a good connection", async () => {
	await follow();
	const waits: number[] = [];
	const attempt = async () => {
		const before = FakeSocket.made.length;
		FakeSocket.last.break();
		const began = performance.now();
		while (FakeSocket.made.length === before) await vi.advanceTimersToNextTimerAsync();
		waits.push(Math.round(performance.now() - began));
	};
	for (let i = 0; i < 9; i++) await attempt();
	expect(waits).toEqual([125, 250, 500, 1_000, 2_000, 4_000, 7_500, 7_500, 7_500]);
	vi.mocked(Math.random).mockReturnValue(0.5);
	await attempt();
	expect(waits.at(-1)).toBe(11_250);
	FakeSocket.last.open();
	await vi.advanceTimersByTimeAsync(6_000);
	await attempt();
	expect(waits.at(-1)).toBeLessThan(250);
});

test("a connection that opens and breaks at once is no good one", async () => {
	await follow();
	for (let i = 0; i < 6; i++) {
		FakeSocket.last.open();
		FakeSocket.last.break(1013);
		await vi.advanceTimersByTimeAsync(4_000);
	}
	FakeSocket.last.open();
	FakeSocket.last.break(1013);
	const before = FakeSocket.made.length;
	await vi.advanceTimersByTimeAsync(3_000);
	expect(FakeSocket.made).toHaveLength(before);
});

test("each connection is opened with a token of its own", async () => {
	const token = vi.fn<() => Promise<string>>();
	token
		.mockResolvedValueOnce("one")
		.mockRejectedValueOnce(new Error("no"))
		.mockResolvedValue("two");
	await follow({ token });
	expect(FakeSocket.last.protocols).toEqual(["hopline", "one"]);
	FakeSocket.last.break();
	await vi.advanceTimersByTimeAsync(125);
	expect(stream.getSnapshot()).toMatchObject({ error: { code: "token" }, isReconnecting: true });
	expect(FakeSocket.made).toHaveLength(1);
	await vi.advanceTimersByTimeAsync(1_000);
	expect(FakeSocket.last.protocols).toEqual(["hopline", "two"]);
});

test("a connection on which nothing comes any more is given up", async () => {
	await follow();
	FakeSocket.last.open();
	FakeSocket.last.receive(snapshot(1));
	const first = FakeSocket.last;
	for (let i = 0; i < 6; i++) {
		await vi.advanceTimersByTimeAsync(10_000);
		first.receive({ type: "heartbeat", timestamp: new Date().toISOString() });
	}
	expect(stream.getSnapshot().isConnected).toBe(true);
	await vi.advanceTimersByTimeAsync(30_001);
	expect(stream.getSnapshot().isConnected).toBe(false);
	expect(first.readyState).toBe(3);
	await vi.advanceTimersByTimeAsync(1_000);
	expect(FakeSocket.made.length).toBeGreaterThan(1);
});

test("a network that comes back is tried at once, and a sleep is noticed soon", async () => {
	await follow();
	for (let i = 0; i < 8; i++) {
		FakeSocket.last.break();
		await vi.advanceTimersByTimeAsync(8_000);
	}
	FakeSocket.last.break();
	const before = FakeSocket.made.length;
	window.dispatchEvent(new Event("online"));
	await settled();
	expect(FakeSocket.made).toHaveLength(before + 1);
	FakeSocket.last.open();
	FakeSocket.last.receive(snapshot(1));
	setVisibility("visible");
	await vi.advanceTimersByTimeAsync(3_001);
	expect(stream.getSnapshot().isConnected).toBe(false);
});

test("a page that nobody looks at waits until somebody does", async () => {
	await follow();
	FakeSocket.last.open();
	setVisibility("hidden");
	FakeSocket.last.break();
	await vi.advanceTimersByTimeAsync(60_000);
	expect(FakeSocket.made).toHaveLength(1);
	setVisibility("visible");
	await settled();
	expect(FakeSocket.made).toHaveLength(2);
});

test("a build that is gone is not asked for again, unless by hand", async () => {
	await follow();
	FakeSocket.last.open();
	FakeSocket.last.break(1008, "the build is gone");
	await vi.advanceTimersByTimeAsync(60_000);
	expect(FakeSocket.made).toHaveLength(1);
	expect(stream.getSnapshot()).toMatchObject({
		isConnected: false,
		isReconnecting: false,
		error: { code: "gone", message: "the build is gone" },
	});
	stream.reconnect();
	await settled();
	expect(FakeSocket.made).toHaveLength(2);
});

test("without a session it follows the project's newest build", async () => {
	await follow({ sessionId: null });
	expect(FakeSocket.last.url.search).toBe(`?projectId=${PROJECT}`);
	FakeSocket.last.open();
	FakeSocket.last.receive({ type: "state-update", projectId: PROJECT, seq: 0, state: null });
	expect(stream.getSnapshot().state).toBeNull();
	FakeSocket.last.receive(snapshot(1, { id: "first", startTime: "2026-01-02" }));
	FakeSocket.last.receive(snapshot(3, { id: "older", startTime: "2026-01-01" }));
	expect(stream.getSnapshot().state?.id).toBe("first");
	FakeSocket.last.receive(snapshot(1, { id: "second", startTime: "2026-01-03" }));
	expect(stream.getSnapshot().state?.id).toBe("second");
	FakeSocket.last.break();
	await vi.advanceTimersByTimeAsync(1_000);
	expect(FakeSocket.last.url.searchParams.has("since")).toBe(false);
});

test("stopping ends the connection and all timers, also while a token is awaited", async () => {
	await follow();
	FakeSocket.last.open();
	const heard = vi.fn();
	stream.subscribe(heard);
	stream.stop();
	expect(FakeSocket.last.readyState).toBe(3);
	expect(vi.getTimerCount()).toBe(0);
	heard.mockClear();
	await follow({ token: () => new Promise(() => {}) });
	stream.stop();
	await vi.advanceTimersByTimeAsync(60_000);
	expect(FakeSocket.made).toHaveLength(1);
	expect(heard).not.toHaveBeenCalled();
});
