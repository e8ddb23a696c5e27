/** Keeps a question: under a name for all, on a dashboard, or as a link to pass on. */

import { useState } from "react";
import type { Asked } from "../../query/asking/shown";
import { Button, CopyButton, PlusIcon } from "../../ui";
import { AddToDashboardDialog } from "./AddToDashboardDialog";
import { SaveDialog } from "./SaveDialog";

export function Keep({ asked }: { asked: Asked }) {
	const [open, setOpen] = useState<"save" | "add">();
	const close = () => setOpen(undefined);
	return (
		<>
			{/* The address says all of the question. */}
			<CopyButton label="Copy link" showLabel variant="ghost" text={() => location.href} />
			<Button variant="ghost" onClick={() => setOpen("save")}>
				Save
			</Button>
			<Button variant="ghost" icon={<PlusIcon size={14} />} onClick={() => setOpen("add")}>
				Add to dashboard
			</Button>
			{open === "save" && <SaveDialog asked={asked} onClose={close} />}
			{open === "add" && <AddToDashboardDialog asked={asked} onClose={close} />}
		</>
	);
}
