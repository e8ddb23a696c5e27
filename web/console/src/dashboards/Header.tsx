/** The head of a dashboard: its name, its time and pace, and what can be done with it. */

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { adviceFor } from "../api/ApiErrorNote";
import { TimeRangePicker } from "../query/time/TimeRangePicker";
import {
	Button,
	EditIcon,
	ErrorNote,
	IconButton,
	PageHeader,
	PlusIcon,
	RefreshIcon,
	Select,
	TextField,
} from "../ui";
import { DashboardMenu } from "./DashboardMenu";
import styles from "./dashboards.module.css";
import { newId } from "./model";
import { PanelDialog } from "./PanelDialog";
import type { Listed } from "./ready";
import { REFRESHES } from "./search";
import type { DashboardTime } from "./useDashboardTime";
import type { Editing } from "./useEditing";

const REFRESH_ITEMS = REFRESHES.map((value) => ({
	value,
	label: value === "off" ? "No refresh" : `Every ${value}`,
}));

export type HeaderProps = { listed: Listed; editing: Editing; time: DashboardTime };

export function Header({ listed, editing, time }: HeaderProps) {
	const { dashboard, isEditing } = editing;
	return (
		<>
			<PageHeader title={dashboard.name}>
				<TimeRangePicker range={time.range} onChange={time.setRange} />
				{isEditing ? (
					<EditActions editing={editing} time={time} />
				) : (
					<ViewActions listed={listed} editing={editing} time={time} />
				)}
			</PageHeader>
			{isEditing && (
				<div className={styles.editBar}>
					<TextField
						className={styles.rename}
						label="Name"
						value={dashboard.name}
						maxLength={200}
						error={dashboard.name.trim() === "" ? "A dashboard needs a name" : undefined}
						onChange={(name) => editing.edit({ kind: "rename", name })}
					/>
					<p className={styles.hint}>
						Drag panels by their heads and corners, or focus those and use the arrow keys.
					</p>
				</div>
			)}
			{editing.error !== null && editing.error !== undefined && (
				<div className={styles.problem}>
					<ErrorNote title="The dashboard was not saved">{adviceFor(editing.error)}</ErrorNote>
				</div>
			)}
		</>
	);
}

function ViewActions({ listed, editing, time }: HeaderProps) {
	const client = useQueryClient();
	return (
		<>
			<Select
				label="Refresh"
				hideLabel
				value={time.refresh}
				onChange={time.setRefresh}
				items={REFRESH_ITEMS}
			/>
			<IconButton
				label="Refresh now"
				icon={<RefreshIcon />}
				onClick={() => client.refetchQueries({ queryKey: ["shown"], type: "active" })}
			/>
			<Button icon={<EditIcon size={14} />} onClick={editing.begin}>
				Edit
			</Button>
			<DashboardMenu listed={listed} />
		</>
	);
}

function EditActions({ editing, time }: Omit<HeaderProps, "listed">) {
	const [isAdding, setIsAdding] = useState(false);
	return (
		<>
			<Button icon={<PlusIcon size={14} />} onClick={() => setIsAdding(true)}>
				Add panel
			</Button>
			<Button onClick={editing.drop}>{editing.isDirty ? "Discard" : "Done"}</Button>
			<Button
				variant="primary"
				busy={editing.isSaving}
				disabled={!editing.isDirty || editing.dashboard.name.trim() === ""}
				onClick={() => editing.save()}
			>
				Save
			</Button>
			{isAdding && (
				<PanelDialog
					range={time.range}
					onClose={() => setIsAdding(false)}
					onDone={(content) => {
						editing.edit({ kind: "add", id: newId(), content });
						setIsAdding(false);
					}}
				/>
			)}
		</>
	);
}
