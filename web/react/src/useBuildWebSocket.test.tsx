import { act, cleanup, render, screen } from "@testing-library/react";
import { memo, StrictMode } from "react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { ToolCall } from "./state.js";
import {
	batch,
	FakeSocket,
	fakeSocket,
	PROJECT,
	SESSION,
	snapshot,
	text,
	tool,
} from "./testing.js";
import { type UseBuildWebSocketOptions, useBuildWebSocket } from "./useBuildWebSocket.js";

const OPTIONS: UseBuildWebSocketOptions = {
	url: "/ws",
	projectId: PROJECT,
	sessionId: SESSION,
	webSocket: fakeSocket,
	tracing: false,
};

const drawn = vi.fn();

const Tools = memo(function Tools({ calls }: { calls: readonly ToolCall[] }) {
	drawn(calls.map((call) => call.id).join());
	return calls.map((call) => <li key={call.id}>{call.id}</li>);
});

function Page(more: Partial<UseBuildWebSocketOptions>) {
	const { state, seq, isConnected, error, reconnect } = useBuildWebSocket({ ...OPTIONS, ...more });
	return (
		<>
			<output>{`${seq} ${isConnected ? "connected" : (error?.code ?? "away")}`}</output>
			<p>{state?.textByTodo[-1]?.map((one) => one.text)}</p>
			<Tools calls={state?.toolsByTodo[0] ?? NONE} />
			<button type="button" onClick={reconnect}>
				Again
			</button>
		</>
	);
}

const NONE: readonly ToolCall[] = [];

function status(): string | null {
	return screen.getByRole("status").textContent;
}

async function server(does: (socket: FakeSocket) => void) {
	await act(async () => does(FakeSocket.last));
}

beforeEach(() => {
	FakeSocket.made = [];
	drawn.mockClear();
});

afterEach(() => {
	cleanup();
	vi.unstubAllGlobals();
});

test("a page shows the build as it comes, and draws only what changed", async () => {
	await act(async () => render(<Page />));
	expect(status()).toBe("0 away");
	await server((socket) => {
		socket.open();
		socket.receive(snapshot(3));
	});
	await server((socket) => socket.receive(batch(4, [tool("a", { todoIndex: 0 })])));
	expect(status()).toBe("4 connected");
	expect(screen.getByText("a")).toBeDefined();
	const before = drawn.mock.calls.length;
	await server((socket) => socket.receive(batch(6, [text("hel"), text("lo")])));
	expect(screen.getByText("hello")).toBeDefined();
	expect(drawn.mock.calls.length).toBe(before);
});

test("a component that is drawn twice by a strict page keeps one connection, and none when it goes", async () => {
	const page = await act(async () =>
		render(
			<StrictMode>
				<Page />
			</StrictMode>,
		),
	);
	await server((socket) => socket.open());
	expect(FakeSocket.made.filter((socket) => socket.readyState === 1)).toHaveLength(1);
	page.unmount();
	expect(FakeSocket.made.filter((socket) => socket.readyState === 1)).toHaveLength(0);
});

test("another build is another stream, and no build is none", async () => {
	const page = await act(async () => render(<Page />));
	await server((socket) => {
		socket.open();
		socket.receive(snapshot(3));
	});
	const first = FakeSocket.last;
	await act(async () => page.rerender(<Page sessionId="another" />));
	expect(first.readyState).toBe(3);
	expect(FakeSocket.last.url.searchParams.get("sessionId")).toBe("another");
	expect(status()).toBe("0 away");
	await act(async () => page.rerender(<Page sessionId={null} projectId={null} />));
	expect(FakeSocket.last.readyState).toBe(3);
	expect(FakeSocket.made).toHaveLength(2);
});

test("the token is had from whoever gives one when it is needed", async () => {
	const page = await act(async () => render(<Page token={() => "old"} />));
	await act(async () => page.rerender(<Page token={async () => "new"} />));
	await act(async () => screen.getByRole("button").click());
	expect(FakeSocket.made.map((socket) => socket.protocols[1])).toEqual(["old", "new"]);
});

test("each batch's trace goes on to the paint of what it changed", async () => {
	const bodies: string[] = [];
	vi.stubGlobal("fetch", async (_: string, init: RequestInit) => {
		bodies.push(String(init.body));
		return new Response("{}");
	});
	const carrier = (flag: number) => ({
		_sentry: { trace: `${"a".repeat(32)}-${"b".repeat(16)}-${flag}` },
	});
	await act(async () => render(<Page tracing={{ component: "BuildPage" }} />));
	await server((socket) => {
		socket.open();
		socket.receive({ type: "heartbeat", timestamp: new Date().toISOString() });
		socket.receive(snapshot(1));
	});
	await server((socket) => {
		socket.receive(batch(2, [text("quiet")], carrier(0)));
		socket.receive(batch(5, [text("a"), tool("x", { todoIndex: 0 }), text("b")], carrier(1)));
	});
	await vi.waitFor(() => expect(bodies).toHaveLength(1), { timeout: 5_000 });
	const spans = JSON.parse(bodies[0] ?? "").resourceSpans[0].scopeSpans[0].spans;
	expect(spans.map((span: { name: string }) => span.name)).toEqual([
		"useBuildWebSocket.text-delta",
		"react.render.BuildPage",
		"useBuildWebSocket.tool-call",
		"react.render.BuildPage",
	]);
	const [received, painted] = spans;
	expect([received.traceId, received.parentSpanId]).toEqual(["a".repeat(32), "b".repeat(16)]);
	expect(painted.parentSpanId).toBe(received.spanId);
	expect(painted.startTimeUnixNano).toBe(received.endTimeUnixNano);
	const attributes = new Map(
		received.attributes.map((one: { key: string; value: object }) => [one.key, one.value]),
	);
	expect(attributes.get("event.seq")).toEqual({ intValue: "5" });
	expect(attributes.get("event.commandId")).toEqual({ stringValue: "c" });
	expect(attributes.get("event.sessionId")).toEqual({ stringValue: SESSION });
	expect(attributes.get("hopline.updates")).toEqual({ intValue: "2" });
});

test("a page that is drawn on a server has no build yet", async () => {
	const { renderToString } = await import("react-dom/server");
	expect(renderToString(<Page />)).toContain("0 away");
	expect(FakeSocket.made).toHaveLength(0);
});
