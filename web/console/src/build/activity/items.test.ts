import { expect, test } from "vitest";
import { call, state, text, todo } from "../testing";
import { AFTER, type Item, Items } from "./items";

const NONE: ReadonlySet<number> = new Set();

function keys(items: readonly Item[]): string[] {
	return items.map(({ key }) => key);
}

test("below each todo stands what was done for it, in the order in which it began", () => {
	const build = state({
		todos: [todo("a"), todo("b")],
		toolsByTodo: { 0: [call("x", { startTime: "2" }), call("y", { startTime: "4" })] },
		textByTodo: { 0: [text("s", "1", "one", "two"), text("t", "3", "three")] },
	});
	expect(keys(new Items().of(build, NONE))).toEqual([
		"todo 0",
		"text 0 text s 0",
		"text 0 text s 1",
		"call x",
		"text 0 text t 0",
		"call y",
		"todo 1",
	]);
});

test("what has no todo stands before the plan or after it", () => {
	const build = state({
		todos: [todo("a", "completed")],
		toolsByTodo: { "-1": [call("late", { startTime: "3" })], 0: [call("x", { startTime: "2" })] },
		textByTodo: { "-1": [text("early", "1", "."), text("end", "4", ".")] },
	});
	expect(keys(new Items().of(build, NONE))).toEqual([
		"todo -1",
		"text -1 text early 0",
		"todo 0",
		"call x",
		`todo ${AFTER}`,
		"call late",
		`text ${AFTER} text end 0`,
	]);
});

test("a build without a plan has no heads, and a folded todo nothing below its own", () => {
	const plain = state({ textByTodo: { "-1": [text("out", "1", "hello")] } });
	expect(keys(new Items().of(plain, NONE))).toEqual(["text -1 text out 0"]);
	const planned = state({ todos: [todo("a")], toolsByTodo: { 0: [call("x")], 3: [call("y")] } });
	expect(keys(new Items().of(planned, new Set([0])))).toEqual(["todo 0", "todo 3", "call y"]);
});

test("the items of todos that did not change stay the same objects", () => {
	const items = new Items();
	const before = state({
		todos: [todo("a"), todo("b")],
		toolsByTodo: { 0: [call("x")], 1: [call("y")] },
		textByTodo: { "-1": [text("early", "", "hello")] },
	});
	const after = { ...before, toolsByTodo: { ...before.toolsByTodo, 1: [call("y"), call("z")] } };
	const first = items.of(before, NONE);
	const second = items.of(after, NONE);
	const same = first.filter((item) => second.includes(item));
	expect(keys(same)).toEqual(["todo -1", "text -1 text early 0", "todo 0", "call x"]);
});
