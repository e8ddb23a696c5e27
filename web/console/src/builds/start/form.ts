/** What the start dialog holds, what is still wrong with it, and the request that it becomes. */

export type Agent = "command" | "steps" | "stream";

export interface Step {
	/** Tells it from the others while they are moved about. */
	key: number;
	name: string;
	run: string;
}

export interface StartForm {
	/** A project's id; empty for one that is to be made. */
	projectId: string;
	projectName: string;
	agent: Agent;
	command: string;
	steps: Step[];
	prompt: string;
	/** A runner's id; empty to leave the choice to the server. */
	runnerId: string;
}

export const EMPTY_FORM: StartForm = {
	projectId: "",
	projectName: "",
	agent: "command",
	command: "",
	steps: [{ key: 0, name: "", run: "" }],
	prompt: "",
	runnerId: "",
};

export type Field = "projectName" | "command" | "steps";

/** What keeps it from being sent, by field. */
export function problemsOf(form: StartForm): Partial<Record<Field, string>> {
	const problems: Partial<Record<Field, string>> = {};
	if (!form.projectId && !form.projectName.trim())
		problems.projectName = "Give the project a name.";
	if (form.agent !== "steps" && !form.command.trim()) problems.command = "Say what is to be run.";
	if (form.agent === "steps" && filledSteps(form).length === 0) {
		problems.steps = "Give at least one step a command.";
	}
	return problems;
}

/** The body of `POST /api/projects/{id}/build`. */
export function requestOf(form: StartForm): Record<string, unknown> {
	const prompt = form.prompt.trim();
	const what =
		form.agent === "steps" ? { steps: filledSteps(form) } : { command: form.command.trim() };
	return {
		agent: form.agent,
		operationType: "initial-build",
		...what,
		...(prompt && { prompt }),
		...(form.runnerId && { runnerId: form.runnerId }),
	};
}

/** The steps that have a command; one without a name is named after it. */
function filledSteps({ steps }: StartForm): { name: string; run: string }[] {
	const filled = steps.map(({ name, run }) => ({ name: name.trim(), run: run.trim() }));
	return filled.filter(({ run }) => run).map(({ name, run }) => ({ name: name || run, run }));
}
