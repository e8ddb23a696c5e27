import { expect, test } from "vitest";
import { EMPTY_FORM, problemsOf, requestOf } from "./form";

test("an empty form says what it needs, and only that", () => {
	expect(problemsOf(EMPTY_FORM)).toEqual({
		projectName: "Give the project a name.",
		command: "Say what is to be run.",
	});
	expect(problemsOf({ ...EMPTY_FORM, projectId: "p", agent: "steps" })).toEqual({
		steps: "Give at least one step a command.",
	});
});

test("a command is sent as a line for the shell, with nothing that was left empty", () => {
	const form = { ...EMPTY_FORM, projectId: "p", command: " make test \n" };
	expect(problemsOf(form)).toEqual({});
	expect(requestOf(form)).toEqual({
		agent: "command",
		operationType: "initial-build",
		command: "make test",
	});
});

test("steps without a command are left out, and those without a name are named after it", () => {
	const form = {
		...EMPTY_FORM,
		projectId: "p",
		agent: "steps" as const,
		runnerId: "build-1",
		prompt: "Try it",
		steps: [
			{ key: 0, name: "compile", run: "make" },
			{ key: 1, name: "nothing", run: " " },
			{ key: 2, name: "", run: "make test" },
		],
	};
	expect(requestOf(form)).toMatchObject({
		agent: "steps",
		prompt: "Try it",
		runnerId: "build-1",
		steps: [
			{ name: "compile", run: "make" },
			{ name: "make test", run: "make test" },
		],
	});
});
