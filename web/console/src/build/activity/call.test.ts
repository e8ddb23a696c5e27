import { expect, test } from "vitest";
import { call } from "../testing";
import { durationOf, failureOf, standingOf, summaryOf } from "./call";

test("a call that nobody answered runs as long as its build does", () => {
	const asked = call("a", { state: "input-available" });
	expect(standingOf(asked, true)).toBe("running");
	expect(standingOf(asked, false)).toBe("unanswered");
});

test("a call has failed by its state, its exit code or a signal", () => {
	expect(failureOf(call("a", { state: "output-error", output: "no such file" }))).toBe(
		"no such file",
	);
	const exit = { exitCode: 2, stderr: "first\nlast\n" };
	expect(failureOf(call("a", { output: exit }))).toBe("Ended with exit code 2: last");
	expect(failureOf(call("a", { output: { exitCode: null, signal: 9 } }))).toBe("Ended by signal 9");
	expect(failureOf(call("a", { output: { exitCode: 0, stderr: "warning" } }))).toBeUndefined();
	expect(standingOf(call("a", { output: { exitCode: 1 } }), true)).toBe("failed");
});

test("a call is summed up by the most telling field of its input, in a line", () => {
	const summed = (input: unknown) => summaryOf(call("a", { input }));
	expect(summed({ timeout: 5, command: "make\n  all" })).toBe("make all");
	expect(summed({ command: ["cargo", "test"] })).toBe("cargo test");
	expect(summed({ todos: [{ status: "completed" }, { status: "pending" }] })).toBe("1 of 2 done");
	expect(summed({ odd: { deep: 1 } })).toBe('{"odd":{"deep":1}}');
	expect(summed("words")).toBe("words");
	expect([summed(undefined), summed({}), summed(null)]).toEqual(["", "", ""]);
	expect(summed({ command: "x".repeat(100_000) }).length).toBeLessThan(300);
});

test("a call's duration is known once both its ends are", () => {
	const times = { startTime: "2026-01-01T00:00:01.500Z", endTime: "2026-01-01T00:00:02.000Z" };
	expect(durationOf(call("a", times))).toBe(500);
	expect(durationOf(call("a", { ...times, startTime: null }))).toBeUndefined();
});
