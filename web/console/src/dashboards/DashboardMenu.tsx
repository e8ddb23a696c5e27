/** What can be done with a whole dashboard: exported, copied, removed, or put back to what it came as. */

import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { adviceFor } from "../api/ApiErrorNote";
import {
	Button,
	ConfirmDialog,
	CopyIcon,
	Dialog,
	DownloadIcon,
	download,
	ErrorNote,
	IconButton,
	Menu,
	type MenuItem,
	MoreIcon,
	RefreshIcon,
	TrashIcon,
} from "../ui";
import { written } from "./exchange";
import { copyOf } from "./model";
import type { Listed } from "./ready";
import { useSave } from "./store";

export function DashboardMenu({ listed }: { listed: Listed }) {
	const { dashboard, isReadyMade, isKept } = listed;
	const { id, name } = dashboard;
	const [isAsking, setIsAsking] = useState(false);
	const navigate = useNavigate();
	const copying = useSave();
	const removing = useSave();

	const copy = () => {
		const copied = copyOf(dashboard, `${name} (copy)`);
		copying.mutate(
			{ change: { kind: "put dashboard", dashboard: copied, base: undefined } },
			{
				onSuccess: () =>
					navigate({ to: "/dashboards/$dashboardId", params: { dashboardId: copied.id } }),
			},
		);
	};
	const remove = () => {
		removing.mutate(
			{ change: { kind: "remove dashboard", id } },
			{
				onSuccess: () => {
					setIsAsking(false);
					if (!isReadyMade) navigate({ to: "/dashboards" });
				},
			},
		);
	};

	const items: MenuItem[] = [
		{
			label: "Export as JSON",
			icon: <DownloadIcon size={14} />,
			onSelect: () => exportFile(listed),
		},
		{ label: "Make a copy", icon: <CopyIcon size={14} />, onSelect: copy },
	];
	if (isKept) {
		items.push("separator", {
			label: isReadyMade ? "Put back as it came" : "Remove",
			icon: isReadyMade ? <RefreshIcon size={14} /> : <TrashIcon size={14} />,
			danger: true,
			onSelect: () => setIsAsking(true),
		});
	}
	return (
		<>
			<Menu
				trigger={<IconButton label={`More of “${name}”`} icon={<MoreIcon />} />}
				items={items}
			/>
			<ConfirmDialog
				open={isAsking}
				onClose={() => {
					setIsAsking(false);
					removing.reset();
				}}
				title={isReadyMade ? `Put “${name}” back as it came?` : `Remove “${name}”?`}
				description={
					isReadyMade
						? "What was changed of it is lost, for everyone who uses this Hopline."
						: "It is gone then, for everyone who uses this Hopline. An exported file brings it back."
				}
				confirm={isReadyMade ? "Put back" : "Remove"}
				danger
				busy={removing.isPending}
				onConfirm={remove}
			>
				{removing.error && (
					<ErrorNote title="That was not saved">{adviceFor(removing.error)}</ErrorNote>
				)}
			</ConfirmDialog>
			<Dialog
				open={copying.isError}
				onClose={copying.reset}
				title={`“${name}” was not copied`}
				footer={<Button onClick={copy}>Try again</Button>}
			>
				{copying.error && <p>{adviceFor(copying.error)}</p>}
			</Dialog>
		</>
	);
}

function exportFile({ dashboard }: Listed): void {
	const name = dashboard.name.replaceAll(/[^\p{L}\p{N}]+/gu, "-").replaceAll(/^-|-$/g, "");
	download(`${name || "dashboard"}.json`, "application/json", written(dashboard));
}
