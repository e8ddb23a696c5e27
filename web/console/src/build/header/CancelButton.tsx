/** Ends a running build, once the reader has said that they mean it. */
import { useState } from "react";
import { CancelDialog, type CancelDialogProps } from "../../builds/CancelDialog";
import { Button, StopIcon } from "../../ui";

export function CancelButton({ build }: { build: NonNullable<CancelDialogProps["build"]> }) {
	const [isAsking, setAsking] = useState(false);
	return (
		<>
			<Button icon={<StopIcon />} onClick={() => setAsking(true)}>
				Cancel
			</Button>
			<CancelDialog build={isAsking ? build : undefined} onClose={() => setAsking(false)} />
		</>
	);
}
