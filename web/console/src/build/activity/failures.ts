/** Which tool calls of a build have failed, in their order. */
import type { BuildState, ToolCall } from "@hopline/react";
import { failureOf } from "./call";

/** A failed call, and what it said. */
export interface Failure {
	readonly call: ToolCall;
	readonly words: string;
}

const known = new WeakMap<readonly ToolCall[], readonly Failure[]>();

/** The failures of a state; only todos in which something changed are looked through again. */
export function failuresOf({ toolsByTodo }: Pick<BuildState, "toolsByTodo">): readonly Failure[] {
	const lists = Object.values(toolsByTodo).map((calls) => {
		let failures = known.get(calls);
		if (!failures) {
			failures = calls.flatMap((call) => {
				const words = failureOf(call);
				return words === undefined ? [] : [{ call, words }];
			});
			known.set(calls, failures);
		}
		return failures;
	});
	return lists.flat();
}
