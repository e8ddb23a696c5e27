/** What tests of the build's page are about: states, calls and texts with nothing in them but what a test says. */
import type { BuildState, BuildText, Todo, ToolCall } from "@hopline/react";

export function call(id: string, more: Partial<ToolCall> = {}): ToolCall {
	return {
		id,
		name: "Bash",
		state: "output-available",
		startTime: null,
		endTime: null,
		...more,
	};
}

export function text(id: string, timestamp: string, ...pieces: string[]): BuildText {
	const all = pieces.join("");
	return { id, kind: "text", timestamp, pieces, text: all, length: all.length };
}

export function state(more: Partial<BuildState> = {}): BuildState {
	return {
		id: "11111111-1111-4111-8111-111111111111",
		projectId: "22222222-2222-4222-8222-222222222222",
		projectName: "parser",
		operationType: "initial-build",
		agentId: "stream",
		todos: [],
		activeTodoIndex: -1,
		toolsByTodo: {},
		textByTodo: {},
		isActive: true,
		startTime: "2026-11-30T15:00:00.000Z",
		endTime: null,
		status: "active",
		final: false,
		incomplete: false,
		errorMessage: null,
		exitCode: null,
		summary: null,
		traceId: null,
		buildId: "b",
		commandId: "c",
		...more,
	};
}

export function todo(content: string, status: Todo["status"] = "pending"): Todo {
	return { content, activeForm: "", status };
}
