/** Makes a dashboard, and begins to edit it. */

import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useId, useState } from "react";
import { adviceFor } from "../api/ApiErrorNote";
import { Button, Dialog, ErrorNote, TextField } from "../ui";
import styles from "./dashboards.module.css";
import { newId } from "./model";
import { useSave } from "./store";

export function NewDialog({ onClose }: { onClose(): void }) {
	const form = useId();
	const [name, setName] = useState("");
	const navigate = useNavigate();
	const { mutate, isPending, error } = useSave();
	const submit = (event: FormEvent) => {
		event.preventDefault();
		if (name.trim() === "") return;
		const dashboard = { id: newId(), name: name.trim(), panels: [] };
		mutate(
			{ change: { kind: "put dashboard", dashboard, base: undefined } },
			{
				onSuccess: () =>
					navigate({
						to: "/dashboards/$dashboardId",
						params: { dashboardId: dashboard.id },
						search: { edit: true },
					}),
			},
		);
	};
	return (
		<Dialog
			open
			onClose={onClose}
			title="New dashboard"
			footer={
				<>
					<Button onClick={onClose}>Back</Button>
					<Button
						type="submit"
						form={form}
						variant="primary"
						busy={isPending}
						disabled={name.trim() === ""}
					>
						Make it
					</Button>
				</>
			}
		>
			<form id={form} className={styles.form} onSubmit={submit}>
				<TextField label="Name" value={name} onChange={setName} maxLength={200} />
				{error && <ErrorNote title="It was not made">{adviceFor(error)}</ErrorNote>}
			</form>
		</Dialog>
	);
}
