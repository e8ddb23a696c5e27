/** Takes in a dashboard that was exported as a file. */

import { useNavigate } from "@tanstack/react-router";
import { type ChangeEvent, useRef, useState } from "react";
import { adviceFor } from "../api/ApiErrorNote";
import { Button, Dialog, ErrorNote, UploadIcon } from "../ui";
import { BadFile, readDashboard } from "./exchange";
import { useSave } from "./store";

/** Larger ones are no dashboards. */
const MOST_BYTES = 4 << 20;

export function ImportButton() {
	const field = useRef<HTMLInputElement>(null);
	const navigate = useNavigate();
	const { mutateAsync, isPending } = useSave();
	const [problem, setProblem] = useState<string>();

	const take = async (event: ChangeEvent<HTMLInputElement>) => {
		const [file] = event.target.files ?? [];
		if (!file) return;
		try {
			if (file.size > MOST_BYTES) throw new BadFile("The file is larger than 4 MiB.");
			const dashboard = readDashboard(await file.text());
			await mutateAsync({ change: { kind: "put dashboard", dashboard, base: undefined } });
			navigate({ to: "/dashboards/$dashboardId", params: { dashboardId: dashboard.id } });
		} catch (error) {
			setProblem(error instanceof BadFile ? error.message : adviceFor(error));
		}
		// The same file can be chosen again once it is put right.
		event.target.value = "";
	};

	return (
		<>
			<Button
				icon={<UploadIcon size={14} />}
				busy={isPending}
				onClick={() => field.current?.click()}
			>
				Import
			</Button>
			<input
				ref={field}
				type="file"
				accept="application/json,.json"
				aria-label="File of a dashboard"
				hidden
				onChange={take}
			/>
			{problem !== undefined && (
				<Dialog
					open
					onClose={() => setProblem(undefined)}
					title="Nothing was imported"
					footer={<Button onClick={() => setProblem(undefined)}>Back</Button>}
				>
					<ErrorNote title="The file cannot be taken">{problem}</ErrorNote>
				</Dialog>
			)}
		</>
	);
}
