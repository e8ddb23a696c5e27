import { describe, expect, test } from "vitest";
import { outlineOf } from "../fixtures/outline";
import { TraceModel } from "./model";
import { Flag } from "./outline";

const modelOf = (...args: Parameters<typeof outlineOf>) => new TraceModel(outlineOf(...args));

describe("a trace's model", () => {
	test("says of each span what the outline's dictionaries say", () => {
		const model = modelOf([
			{ id: "a", name: "handleCommand.start-build", op: "runner.command", start: 0, duration: 9 },
			{
				id: "b",
				parent: "a",
				name: "runner.build",
				op: "build",
				service: "mine",
				start: 1,
				duration: 3,
			},
		]);
		const row = model.rowOf("b");
		expect(model.nameOf(row)).toBe("runner.build");
		expect(model.opOf(row)).toBe("build");
		expect(model.serviceOf(row)).toBe("mine");
		expect(model.parentOf(row)).toBe(model.rowOf("a"));
		expect(model.rowOf("nobody")).toBe(-1);
		expect(model.rowOf(null)).toBe(-1);
	});

	test("a span's own time is what none of its children ran in", () => {
		const model = modelOf([
			{ id: "a", start: 0, duration: 100 },
			{ id: "b", parent: "a", start: 10, duration: 20 },
			{ id: "c", parent: "a", start: 20, duration: 20 },
			{ id: "d", parent: "a", start: 90, duration: 50 },
		]);
		expect(model.times.self[0]).toBe(100 - 30 - 10);
	});

	test("work that was done for it and others is not its own time", () => {
		const model = modelOf(
			[
				{ id: "a", start: 0, duration: 100 },
				{ id: "b", start: 0, duration: 100 },
				{ id: "c", parent: "a", start: 10, duration: 20 },
				{ id: "d", parent: "b", start: 20, duration: 20 },
			],
			{ linked: [{ spans: [2], under: [1] }] },
		);
		expect(Array.from(model.times.self)).toEqual([80, 70, 20, 20]);
	});

	test("a child that began before its parent takes only what they share", () => {
		const model = modelOf([
			{ id: "b", parent: "a", start: 0, duration: 30 },
			{ id: "a", start: 10, duration: 100 },
		]);
		expect(model.times.self[model.rowOf("a")]).toBe(80);
	});

	test("a duration below zero, or none at all, counts as none", () => {
		const model = modelOf([
			{ id: "a", start: 0, duration: -5 },
			{ id: "b", parent: "a", start: Number.NaN, duration: Number.POSITIVE_INFINITY },
		]);
		expect(Array.from(model.times.duration)).toEqual([0, 0]);
		expect(model.times.total).toBe(0);
	});

	test("an unfinished span has run at least as long as what is below it", () => {
		const model = modelOf([
			{ id: "a", start: 0, duration: 0, flags: Flag.pending },
			{ id: "b", parent: "a", start: 10, duration: 5, flags: Flag.pending },
			{ id: "c", parent: "b", start: 20, duration: 30 },
		]);
		expect(model.endOf(0)).toBe(50);
		expect(model.endOf(1)).toBe(50);
		expect(model.pendingCount).toBe(2);
	});

	test("an orphan is a root, and says so", () => {
		const model = modelOf([
			{ id: "a", start: 0, duration: 1 },
			{ id: "b", parent: "lost", start: 1, duration: 1 },
		]);
		expect(Array.from(model.childrenOf(-1))).toEqual([0, 1]);
		expect(model.has(1, Flag.orphan)).toBe(true);
		expect(model.has(0, Flag.orphan)).toBe(false);
	});

	test("counts errors at and below each span", () => {
		const model = modelOf([
			{ id: "a", start: 0, duration: 9 },
			{ id: "b", parent: "a", start: 1, duration: 9, status: 2 },
			{ id: "c", parent: "b", start: 2, duration: 9, status: 2 },
		]);
		expect(Array.from(model.errors)).toEqual([2, 2, 1]);
		expect(model.errorCount).toBe(2);
	});

	test("finds the spans of a tool's call and of an event", () => {
		const model = modelOf(
			[
				{ id: "a", start: 0, duration: 9 },
				{ id: "b", parent: "a", start: 1, duration: 1, seq: 7 },
				{ id: "c", parent: "b", start: 2, duration: 1, seq: 7 },
			],
			{ toolCalls: { call_1: [0] } },
		);
		expect(model.rowsOfToolCall("call_1")).toEqual([0]);
		expect(model.rowsOfToolCall("call_2")).toEqual([]);
		expect(model.rowsOfToolCall("constructor")).toEqual([]);
		expect(model.rowsOfSeq(7)).toEqual([1, 2]);
		expect(model.rowsOfSeq(0)).toEqual([]);
	});

	test("gives each span the errors and logs that happened in it", () => {
		const record = { id: "r", kind: "log", at: 1, level: "info", message: "hello" } as const;
		const model = modelOf([{ id: "a", start: 0, duration: 9 }], {
			records: [
				{ ...record, parent: 0 },
				{ ...record, id: "s", parent: -1 },
			],
		});
		expect(model.recordsOf(0).map(({ id }) => id)).toEqual(["r"]);
		expect(model.recordsOf(-1).map(({ id }) => id)).toEqual(["s"]);
	});

	test("gaps lie between children, not before the first or after the last", () => {
		const model = modelOf([
			{ id: "a", start: 0, duration: 100 },
			{ id: "b", parent: "a", start: 10, duration: 10 },
			{ id: "c", parent: "a", start: 15, duration: 2 },
			{ id: "d", parent: "a", start: 50, duration: 10 },
			{ id: "e", parent: "a", start: 130, duration: 10 },
		]);
		expect(model.gapsOf(0)).toEqual([
			{ from: 20, to: 50 },
			{ from: 60, to: 100 },
		]);
		expect(model.gapsOf(1)).toEqual([]);
	});

	test("messages that a span sends leave no gaps between them", () => {
		const model = modelOf([
			{ id: "a", start: 0, duration: 100 },
			{ id: "b", parent: "a", start: 10, duration: 1, kind: "producer" },
			{ id: "c", parent: "a", start: 50, duration: 1, kind: "producer" },
		]);
		expect(model.gapsOf(0)).toEqual([]);
	});

	test("an unfinished span waits since its last child has ended, unless one runs", () => {
		const lines = [
			{ id: "a", start: 0, duration: 0, flags: Flag.pending },
			{ id: "b", parent: "a", start: 10, duration: 30 },
			{ id: "c", parent: "a", start: 20, duration: 5 },
		];
		expect(modelOf(lines).waitsSince(0)).toBe(40);
		const running = { id: "d", parent: "a", start: 50, duration: 0, flags: Flag.pending };
		expect(modelOf([...lines, running]).waitsSince(0)).toBeNull();
		expect(modelOf(lines.slice(0, 1)).waitsSince(0)).toBeNull();
	});

	test("an empty outline is an empty model", () => {
		const model = modelOf([]);
		expect(model.count).toBe(0);
		expect(model.times.total).toBe(0);
	});
});
