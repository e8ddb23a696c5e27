import { expect, test } from "vitest";
import { Fold } from "./fold.js";
import type { Todo, Update } from "./protocol.js";
import { readState } from "./state.js";
import { AT, ended, stateData, text, tool } from "./testing.js";

function fold(more: Parameters<typeof stateData>[0] = {}, limit?: number): Fold {
	return new Fold(readState(stateData(more), undefined), 0, limit);
}

function plan(...statuses: Todo["status"][]): Update {
	const todos = statuses.map((status, at) => ({ content: `todo ${at}`, activeForm: "", status }));
	const activeTodoIndex = statuses.indexOf("in_progress");
	return { type: "todo-update", data: { todos, activeTodoIndex }, timestamp: AT };
}

test("a tool call is told in two updates and is one", () => {
	const build = fold();
	build.apply([tool("a", { todoIndex: 0, name: "Bash", input: { x: 1 }, startTime: AT })], 1);
	const answer = { state: "output-error" as const, output: "no", startTime: null, endTime: AT };
	build.apply([tool("a", answer)], 2);
	expect(build.state.toolsByTodo[0]).toEqual([
		{
			id: "a",
			name: "Bash",
			input: { x: 1 },
			output: "no",
			state: "output-error",
			startTime: AT,
			endTime: AT,
		},
	]);
});

test("an answer without its call is kept under the active todo, and moves when the call comes", () => {
	const build = fold();
	build.apply(
		[plan("completed", "in_progress"), tool("a", { state: "output-available", output: 1 })],
		2,
	);
	expect(build.state.toolsByTodo[1]).toMatchObject([{ id: "a", name: "", output: 1 }]);
	build.apply([tool("a", { state: "output-available", todoIndex: 0, name: "Bash", input: {} })], 3);
	expect(build.state.toolsByTodo[1]).toEqual([]);
	expect(build.state.toolsByTodo[0]).toMatchObject([{ id: "a", name: "Bash", output: 1 }]);
});

test("texts of the same name are apart by kind and by todo", () => {
	const build = fold();
	build.apply(
		[text("a"), text("b", { kind: "reasoning" }), text("c", { todoIndex: 0 }), text("d")],
		4,
	);
	expect(build.state.textByTodo[-1]?.map((one) => one.text)).toEqual(["ad", "b"]);
	expect(build.state.textByTodo[0]?.map((one) => one.text)).toEqual(["c"]);
});

test("what did not change is the same object afterwards", () => {
	const build = fold();
	build.apply([plan("in_progress", "pending")], 1);
	build.apply(
		[tool("a", { todoIndex: 0 }), tool("b", { todoIndex: 1 }), text("x", { todoIndex: 1 })],
		4,
	);
	const before = build.state;
	const after = build.apply([tool("c", { todoIndex: 0 }), plan("in_progress", "completed")], 6);
	expect(after).not.toBe(before);
	expect(before.toolsByTodo[0]).toHaveLength(1);
	expect(after.toolsByTodo[0]?.[0]).toBe(before.toolsByTodo[0]?.[0]);
	expect(after.toolsByTodo[1]).toBe(before.toolsByTodo[1]);
	expect(after.textByTodo).toBe(before.textByTodo);
	expect(after.todos[0]).toBe(before.todos[0]);
	expect(build.apply([plan("in_progress", "completed")], 7).todos).toBe(after.todos);
});

test("the session's end and updates of a later version are taken as they come", () => {
	const build = fold();
	const odd = { type: "of-tomorrow", data: 1, timestamp: AT } as unknown as Update;
	const state = build.apply([odd, ended("failed")], 2);
	expect(state).toMatchObject({ status: "failed", isActive: false, final: true, endTime: AT });
});

test("appending a little costs the same after ten thousand times as at first", () => {
	const build = fold();
	let copied = 0;
	const slice = Array.prototype.slice;
	Array.prototype.slice = function (this: unknown[], ...args: [number?, number?]) {
		copied += this.length;
		return slice.apply(this, args);
	};
	try {
		for (let seq = 1; seq <= 10_000; seq++) build.apply([text("0123456789")], seq);
	} finally {
		Array.prototype.slice = slice;
	}
	const all = build.state.textByTodo[-1]?.[0];
	expect(all?.length).toBe(100_000);
	// A handful of pieces each time, however long the text is.
	expect(copied).toBeLessThan(10_000 * 60);
});

test("of more than is kept the oldest goes, and it is told how far", () => {
	const build = fold({}, 200_000);
	for (let seq = 1; seq <= 3_000; seq++) {
		const call = tool(`call ${seq}`, { todoIndex: seq % 3, name: "Bash", input: { seq } });
		build.apply([call, text(`${"x".repeat(99)}\n`)], seq);
	}
	const { toolsByTodo, textByTodo, truncated } = build.state;
	const calls = Object.values(toolsByTodo).flat();
	expect(calls.length).toBeGreaterThan(200);
	expect(calls.length).toBeLessThan(700);
	expect(calls.at(-1)?.id).toBe("call 2999");
	const oldest = Math.min(...calls.map((call) => Number(call.id.slice(5))));
	expect(truncated?.upTo).toBe(oldest - 1);
	expect(textByTodo[-1]?.[0]?.length).toBeLessThan(150_000);
	expect(textByTodo[-1]?.[0]?.truncated?.parts).toBeGreaterThan(10);

	build.apply([tool("call 1", { state: "output-available", output: 1 })], 3_001);
	const ids = Object.values(build.state.toolsByTodo).flatMap((all) => all.map((call) => call.id));
	expect(ids).not.toContain("call 1");
	build.apply([tool("call 3000", { state: "output-available", output: 1 })], 3_002);
	expect(build.state.toolsByTodo[0]?.at(-1)).toMatchObject({ id: "call 3000", output: 1 });
});
