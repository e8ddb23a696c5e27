/** Ends a running build, once the reader has said that they mean it. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { adviceFor } from "../../api/ApiErrorNote";
import { hasCode, send } from "../../api/client";
import { Button, ConfirmDialog, ErrorNote, StopIcon } from "../../ui";

export function CancelButton({ sessionId, name }: { sessionId: string; name: string }) {
	const [isAsking, setAsking] = useState(false);
	const client = useQueryClient();
	const cancel = useMutation({
		mutationFn: async () => {
			try {
				await send("POST", `api/builds/${sessionId}/cancel`);
			} catch (error) {
				// It has ended by itself meanwhile, which is what was wanted.
				if (!hasCode(error, "already_ended")) throw error;
			}
		},
		onSuccess: () => {
			setAsking(false);
			return client.invalidateQueries({ queryKey: ["build"] });
		},
	});
	return (
		<>
			<Button icon={<StopIcon />} onClick={() => setAsking(true)}>
				Cancel
			</Button>
			<ConfirmDialog
				open={isAsking}
				onClose={() => setAsking(false)}
				title={`Cancel the build of ${name}?`}
				description="Its runner ends what it is doing. What was done so far stays."
				confirm="Cancel the build"
				keep="Let it run"
				onConfirm={() => cancel.mutate()}
				busy={cancel.isPending}
				danger
			>
				{cancel.error && (
					<ErrorNote title="The build could not be cancelled">
						<p>{adviceFor(cancel.error)}</p>
					</ErrorNote>
				)}
			</ConfirmDialog>
		</>
	);
}
