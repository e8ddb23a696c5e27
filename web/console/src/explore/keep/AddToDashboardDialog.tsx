/** Puts a question on a dashboard, as a panel of its own. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type FormEvent, useId, useState } from "react";
import { adviceFor } from "../../api/ApiErrorNote";
import { edited } from "../../dashboards/edits";
import { type Dashboard, newId } from "../../dashboards/model";
import { listed } from "../../dashboards/ready";
import { documentQuery, useSave } from "../../dashboards/store";
import type { Asked } from "../../query/asking/shown";
import { withTime } from "../../query/language/clauses";
import { parse } from "../../query/language/parse";
import { Button, buttonClass, Dialog, ErrorNote, Select, TextField } from "../../ui";
import styles from "./keep.module.css";

/** Stands for a dashboard that is to be made; no id is empty. */
const NEW = "";

export function AddToDashboardDialog({ asked, onClose }: { asked: Asked; onClose(): void }) {
	const form = useId();
	const { data } = useQuery(documentQuery());
	const all = listed(data ?? { dashboards: [] });
	const [chosen, setChosen] = useState<string>();
	const [name, setName] = useState("");
	const [title, setTitle] = useState("");
	const { mutate, isPending, error, data: saved, variables } = useSave();
	const own = all.findLast(({ isReadyMade }) => !isReadyMade)?.dashboard.id;
	const id = chosen ?? own ?? NEW;
	const target = all.find(({ dashboard }) => dashboard.id === id);
	const isReady = title.trim() !== "" && (target !== undefined || name.trim() !== "");

	const submit = (event: FormEvent) => {
		event.preventDefault();
		if (!isReady) return;
		const before: Dashboard = target?.dashboard ?? { id: newId(), name: name.trim(), panels: [] };
		// A dashboard says the time of all its panels.
		const question = asked.language === "query" ? parse(asked.text) : undefined;
		const query = question ? withTime(question, { kind: "all" }).text : asked.text;
		const content = { title: title.trim(), query, view: asked.view };
		const dashboard = edited(before, { kind: "add", id: newId(), content });
		const base = target?.isKept ? before : undefined;
		mutate({ change: { kind: "put dashboard", dashboard, base } });
	};

	if (saved && variables.change.kind === "put dashboard") {
		return <Added dashboard={variables.change.dashboard} onClose={onClose} />;
	}
	return (
		<Dialog
			open
			onClose={onClose}
			title="Add to a dashboard"
			footer={
				<>
					<Button onClick={onClose}>Back</Button>
					<Button
						type="submit"
						form={form}
						variant="primary"
						busy={isPending}
						disabled={!isReady || !data}
					>
						Add
					</Button>
				</>
			}
		>
			<form id={form} className={styles.form} onSubmit={submit}>
				<TextField label="Title of the panel" value={title} onChange={setTitle} maxLength={200} />
				<Select
					label="Dashboard"
					value={id}
					onChange={setChosen}
					items={[
						...all.map(({ dashboard, isReadyMade }) => ({
							value: dashboard.id,
							label: dashboard.name,
							hint: isReadyMade ? "ready-made" : undefined,
						})),
						{ value: NEW, label: "A new dashboard" },
					]}
				/>
				{!target && (
					<TextField
						label="Name of the dashboard"
						value={name}
						onChange={setName}
						maxLength={200}
					/>
				)}
				{error && <ErrorNote title="It was not added">{adviceFor(error)}</ErrorNote>}
			</form>
		</Dialog>
	);
}

function Added({ dashboard, onClose }: { dashboard: Dashboard; onClose(): void }) {
	return (
		<Dialog
			open
			onClose={onClose}
			title="Added"
			description={`The panel is on “${dashboard.name}”.`}
			footer={
				<>
					<Button onClick={onClose}>Stay here</Button>
					<Link
						className={buttonClass({ variant: "primary" })}
						to="/dashboards/$dashboardId"
						params={{ dashboardId: dashboard.id }}
					>
						Open the dashboard
					</Link>
				</>
			}
		/>
	);
}
