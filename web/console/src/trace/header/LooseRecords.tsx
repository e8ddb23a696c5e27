/** Errors and lines of logs that belong to the trace and to none of its spans, behind a button. */
import { useState } from "react";
import { Button, Dialog, formatCount } from "../../ui";
import { Records } from "../detail/Happenings";
import type { TraceModel } from "../model/model";

export function LooseRecords({ model }: { model: TraceModel }) {
	const [open, setOpen] = useState(false);
	const records = model.recordsOf(-1);
	if (records.length === 0) return null;
	return (
		<>
			<Button size="small" onClick={() => setOpen(true)}>
				{formatCount(records.length)} outside of spans
			</Button>
			<Dialog
				open={open}
				onClose={() => setOpen(false)}
				title="Errors and logs outside of spans"
				wide
			>
				<Records records={records} />
			</Dialog>
		</>
	);
}
