/** Starts a build: of which project, what is run, and where. */
import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useId, useState } from "react";
import { adviceFor } from "../../api/ApiErrorNote";
import { projectsQuery, runnersQuery } from "../../api/queries";
import type { Project } from "../../api/types";
import { Button, Dialog, ErrorNote, Segmented, Select, TextField } from "../../ui";
import { type Agent, EMPTY_FORM, problemsOf, type StartForm } from "./form";
import { StepsField } from "./StepsField";
import styles from "./start.module.css";
import { adviceOn, useStartBuild } from "./useStartBuild";

export interface StartDialogProps {
	open: boolean;
	onClose(): void;
}

export function StartDialog({ open, onClose }: StartDialogProps) {
	const id = useId();
	const [form, setForm] = useState(EMPTY_FORM);
	const [tried, setTried] = useState(false);
	const change = (changed: Partial<StartForm>) => setForm((form) => ({ ...form, ...changed }));
	const start = useStartBuild({
		onProject: ({ id }) => change({ projectId: id }),
		onStarted() {
			setForm(({ projectId }) => ({ ...EMPTY_FORM, projectId }));
			close();
		},
	});

	function close() {
		start.reset();
		setTried(false);
		onClose();
	}

	function submit(event: FormEvent) {
		event.preventDefault();
		setTried(true);
		if (Object.keys(problemsOf(form)).length === 0) start.mutate(form);
	}

	return (
		<Dialog
			open={open}
			onClose={close}
			title="Start a build"
			wide
			footer={
				<>
					<Button onClick={close}>Back</Button>
					<Button type="submit" form={id} variant="primary" busy={start.isPending}>
						Start the build
					</Button>
				</>
			}
		>
			<form id={id} className={styles.form} onSubmit={submit} noValidate>
				<StartFields form={form} change={change} problems={tried ? problemsOf(form) : {}} />
				{start.error && (
					<ErrorNote title="The build was not started">
						{adviceOn(start.error) ?? adviceFor(start.error)}
					</ErrorNote>
				)}
			</form>
		</Dialog>
	);
}

interface FieldsProps {
	form: StartForm;
	change(changed: Partial<StartForm>): void;
	problems: ReturnType<typeof problemsOf>;
}

const AGENTS: { value: Agent; label: string }[] = [
	{ value: "command", label: "Command" },
	{ value: "steps", label: "Steps" },
	{ value: "stream", label: "Agent" },
];

const HINTS: Record<Agent, string> = {
	command: "Runs by the shell in the project's folder. What it prints becomes the build's text.",
	steps: "Run one after the other in the project's folder; the first that fails ends the build.",
	stream:
		"A program that prints its parts as JSON, one a line: todos, tool calls and texts. Other lines are text.",
};

function StartFields({ form, change, problems }: FieldsProps) {
	return (
		<>
			<ProjectFields form={form} change={change} problems={problems} />
			<div className={styles.group}>
				<Segmented
					label="What runs"
					value={form.agent}
					items={AGENTS}
					onChange={(agent) => change({ agent })}
				/>
				<p className={styles.hint}>{HINTS[form.agent]}</p>
				{form.agent === "steps" ? (
					<StepsField
						steps={form.steps}
						onChange={(steps) => change({ steps })}
						error={problems.steps}
					/>
				) : (
					<TextField
						label={form.agent === "command" ? "Command" : "Program"}
						hideLabel
						mono
						rows={2}
						placeholder={form.agent === "command" ? "make test" : "./my-agent --task …"}
						value={form.command}
						onChange={(command) => change({ command })}
						error={problems.command}
					/>
				)}
			</div>
			<TextField
				label="Prompt (optional)"
				placeholder="What is asked, for people and agents"
				value={form.prompt}
				onChange={(prompt) => change({ prompt })}
			/>
			<RunnerField form={form} change={change} />
		</>
	);
}

function ProjectFields({ form, change, problems }: FieldsProps) {
	const { data: projects = [] } = useQuery(projectsQuery());
	return (
		<div className={styles.project}>
			{projects.length > 0 && (
				<Select
					label="Project"
					value={form.projectId}
					onChange={(projectId) => change({ projectId })}
					items={[
						{ value: "", label: "A new project" },
						...projects.map((project) => ({
							value: project.id,
							label: project.name,
							hint: slugUnlessClear(project),
						})),
					]}
				/>
			)}
			{!form.projectId && (
				<TextField
					label={projects.length > 0 ? "Its name" : "Project"}
					placeholder="my-project"
					value={form.projectName}
					onChange={(projectName) => change({ projectName })}
					error={problems.projectName}
					autoFocus={projects.length === 0}
				/>
			)}
		</div>
	);
}

/** Names may be alike; slugs are not. */
function slugUnlessClear({ name, slug }: Project): string | undefined {
	return name === slug ? undefined : slug;
}

/** Asked only where there is a choice. */
function RunnerField({ form, change }: Omit<FieldsProps, "problems">) {
	const { data: runners } = useQuery(runnersQuery());
	const linked = runners?.filter(({ link, status }) => link === "up" && !status?.oneBuild);
	if (!linked) return null;
	if (linked.length === 0) {
		return (
			<ErrorNote title="No runner is linked">
				Start one with <code>hopline runner</code>; it appears here by itself.
			</ErrorNote>
		);
	}
	if (linked.length === 1) return null;
	return (
		<Select
			label="Runner"
			value={form.runnerId}
			onChange={(runnerId) => change({ runnerId })}
			items={[
				{ value: "", label: "The one that has the project's files" },
				...linked.map(({ id, status }) => ({ value: id, label: id, hint: status?.hostname })),
			]}
		/>
	);
}
