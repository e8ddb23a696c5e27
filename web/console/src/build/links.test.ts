import { expect, test } from "vitest";
import { TraceModel } from "../trace/model/model";
import type { Outline } from "../trace/model/outline";
import { Links } from "./links";

/** A build with a tool call whose two events are sent within it, and an event beside it. */
const spans = [
	{ id: "build", parent: -1, seq: 0 },
	{ id: "tool", parent: 0, seq: 0 },
	{ id: "send 2", parent: 1, seq: 2 },
	{ id: "forward 2", parent: 2, seq: 2 },
	{ id: "send 3", parent: 1, seq: 3 },
	{ id: "send 4", parent: 0, seq: 4 },
];

const zeros = spans.map(() => 0);
const outline: Outline = {
	traceId: "t",
	startNanos: "0",
	names: ["span"],
	ops: [""],
	services: ["s"],
	kinds: ["internal"],
	spans: {
		id: spans.map(({ id }) => id),
		parent: spans.map(({ parent }) => parent),
		seq: spans.map(({ seq }) => seq),
		name: zeros,
		op: zeros,
		service: zeros,
		kind: zeros,
		start: zeros,
		duration: zeros,
		status: zeros,
		flags: zeros,
	},
	toolCalls: { call: [1] },
	records: [],
};

const links = new Links(new TraceModel(outline), () => ["call", "untraced"]);

test("a call's spans are its own and all within them", () => {
	expect([...links.spansOfCall("call")]).toEqual(["tool", "send 2", "send 3", "forward 2"]);
	expect([links.hasCall("call"), links.hasCall("untraced")]).toEqual([true, false]);
	expect(links.spanOfCall("call")).toBe("tool");
	expect(links.spansOfCall("untraced").size).toBe(0);
});

test("a span leads to the call within which it happened, if to any", () => {
	expect(links.callOf("forward 2")).toBe("call");
	expect(links.callOf("tool")).toBe("call");
	expect(links.callOf("send 4")).toBeUndefined();
	expect(links.callOf("unknown")).toBeUndefined();
	expect(links.callOf(null)).toBeUndefined();
});

test("an event's spans are those of its way", () => {
	expect([...links.spansOfEvent(2)]).toEqual(["send 2", "forward 2"]);
	expect([links.spanOfEvent(4), links.spanOfEvent(9)]).toEqual(["send 4", undefined]);
});
