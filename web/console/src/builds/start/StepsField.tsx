/** The steps of a build, each with a name and a command. */
import { useId } from "react";
import { Button, IconButton, PlusIcon, TextField, TrashIcon } from "../../ui";
import type { Step } from "./form";
import styles from "./start.module.css";

export interface StepsFieldProps {
	steps: Step[];
	onChange(steps: Step[]): void;
	error: string | undefined;
}

export function StepsField({ steps, onChange, error }: StepsFieldProps) {
	const errorId = useId();

	function change(key: number, changed: Partial<Step>) {
		onChange(steps.map((step) => (step.key === key ? { ...step, ...changed } : step)));
	}

	function add() {
		const key = Math.max(-1, ...steps.map((step) => step.key)) + 1;
		onChange([...steps, { key, name: "", run: "" }]);
	}

	return (
		<fieldset className={styles.steps} aria-describedby={error && errorId}>
			<legend className="visually-hidden">Steps</legend>
			{steps.map((step, at) => (
				<div key={step.key} className={styles.step}>
					<TextField
						className={styles.stepName}
						label={`Name of step ${at + 1}`}
						hideLabel
						placeholder={at === 0 ? "compile" : "name"}
						value={step.name}
						onChange={(name) => change(step.key, { name })}
					/>
					<TextField
						className={styles.stepRun}
						label={`Command of step ${at + 1}`}
						hideLabel
						mono
						placeholder={at === 0 ? "make" : "command"}
						value={step.run}
						onChange={(run) => change(step.key, { run })}
					/>
					<IconButton
						label={`Remove step ${at + 1}`}
						icon={<TrashIcon />}
						disabled={steps.length === 1}
						onClick={() => onChange(steps.filter(({ key }) => key !== step.key))}
					/>
				</div>
			))}
			{error && (
				<p id={errorId} className={styles.error} role="alert">
					{error}
				</p>
			)}
			<Button className={styles.add} size="small" icon={<PlusIcon size={14} />} onClick={add}>
				Add a step
			</Button>
		</fieldset>
	);
}
