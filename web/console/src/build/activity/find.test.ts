import { expect, test } from "vitest";
import { call, state, text } from "../testing";
import { find } from "./find";
import { Items } from "./items";

const build = state({
	toolsByTodo: {
		"-1": [
			call("a", {
				input: { command: "npm test" },
				output: { stdout: "ok\n1 TEST failed\n", exitCode: 1 },
			}),
			call("b", { name: "Read", output: "nothing of it" }),
		],
	},
	textByTodo: { "-1": [text("t", "9", "a line\nthe tests pass, all tests\n", "tests again")] },
});
const items = new Items().of(build, new Set());

test("words are found in inputs, outputs and texts, in any case, each line once", () => {
	const found = find(items, "test");
	expect(found.map(({ item, lines }) => [item.key, lines.map(({ line }) => line)])).toEqual([
		["call a", ["command: npm test", "1 TEST failed"]],
		["text -1 text t 0", ["the tests pass, all tests"]],
		["text -1 text t 1", ["tests again"]],
	]);
	const [{ line, start, length } = { line: "", start: 0, length: 0 }] = found[1]?.lines ?? [];
	expect(line.slice(start, start + length)).toBe("test");
});

test("what is searched for are words and no pattern", () => {
	expect(find(items, ".*")).toEqual([]);
	expect(find(items, "(")).toEqual([]);
});

test("of a long line the surroundings are shown, and of many lines the first", () => {
	const long = `${"x".repeat(5_000)}needle${"y".repeat(5_000)}`;
	const many = Array.from({ length: 10 }, () => "needle").join("\n");
	const here = new Items().of(
		state({ textByTodo: { "-1": [text("a", "1", long), text("b", "2", many)] } }),
		new Set(),
	);
	const [first, second] = find(here, "needle");
	expect(first?.lines[0]?.line.length).toBeLessThan(300);
	expect(first?.lines[0]?.line).toMatch(/^…x+needley+…$/);
	expect([second?.lines.length, second?.more]).toEqual([3, 7]);
});
