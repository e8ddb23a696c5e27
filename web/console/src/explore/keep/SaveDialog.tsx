/** Saves a question under a name. */

import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useId, useState } from "react";
import { adviceFor } from "../../api/ApiErrorNote";
import { newId } from "../../dashboards/model";
import { documentQuery, useSave } from "../../dashboards/store";
import type { Asked } from "../../query/asking/shown";
import { Button, Dialog, ErrorNote, TextField } from "../../ui";
import styles from "./keep.module.css";

export function SaveDialog({ asked, onClose }: { asked: Asked; onClose(): void }) {
	const form = useId();
	const [name, setName] = useState("");
	const { data } = useQuery(documentQuery());
	const { mutate, isPending, error } = useSave();
	const trimmed = name.trim();
	const same = data?.saved.find((other) => other.name === trimmed);

	const submit = (event: FormEvent) => {
		event.preventDefault();
		if (trimmed === "") return;
		const question = {
			id: same?.id ?? newId(),
			name: trimmed,
			query: asked.text,
			view: asked.view,
		};
		mutate({ change: { kind: "put question", question } }, { onSuccess: onClose });
	};

	return (
		<Dialog
			open
			onClose={onClose}
			title="Save the question"
			description="It is then listed under Saved, for everyone who uses this Hopline."
			footer={
				<>
					<Button onClick={onClose}>Back</Button>
					<Button
						type="submit"
						form={form}
						variant="primary"
						busy={isPending}
						disabled={trimmed === ""}
					>
						{same ? "Replace" : "Save"}
					</Button>
				</>
			}
		>
			<form id={form} className={styles.form} onSubmit={submit}>
				<TextField
					label="Name"
					value={name}
					onChange={setName}
					maxLength={200}
					hint={same ? "There is one of this name: it is replaced." : undefined}
				/>
				<pre className={styles.question}>{asked.text}</pre>
				{error && <ErrorNote title="The question was not saved">{adviceFor(error)}</ErrorNote>}
			</form>
		</Dialog>
	);
}
