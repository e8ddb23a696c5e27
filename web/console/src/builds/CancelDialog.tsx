/** Asks before a build is cancelled, and says what came of it. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { ApiErrorNote } from "../api/ApiErrorNote";
import { hasCode, send } from "../api/client";
import type { BuildRow } from "../api/types";
import { ConfirmDialog } from "../ui";

type Cancellable = Pick<BuildRow, "sessionId" | "projectName">;

export interface CancelDialogProps {
	/** The build that is to be cancelled; none while nothing is asked. */
	build: Cancellable | undefined;
	onClose(): void;
}

export function CancelDialog({ build, onClose }: CancelDialogProps) {
	const queryClient = useQueryClient();
	const [asked, setAsked] = useState(build);
	// The words must not change while the dialog fades away.
	if (build && build !== asked) setAsked(build);

	const cancel = useMutation({
		mutationFn: (sessionId: string) =>
			send("POST", `api/builds/${sessionId}/cancel`).catch((error) => {
				// It was quicker: what was wanted is so.
				if (!hasCode(error, "already_ended")) throw error;
			}),
		onSuccess() {
			close();
			const stale = [["builds"], ["build"]];
			return Promise.all(stale.map((queryKey) => queryClient.invalidateQueries({ queryKey })));
		},
	});

	function close() {
		cancel.reset();
		onClose();
	}

	return (
		<ConfirmDialog
			open={build !== undefined}
			onClose={close}
			title="Cancel this build?"
			description={
				<>
					The build of <strong>{asked?.projectName ?? "this project"}</strong> ends where it is.
					What it has sent so far stays.
				</>
			}
			keep="Let it run"
			confirm="Cancel the build"
			danger
			busy={cancel.isPending}
			onConfirm={() => asked && cancel.mutate(asked.sessionId)}
		>
			{cancel.error && <ApiErrorNote title="It could not be cancelled" error={cancel.error} />}
		</ConfirmDialog>
	);
}
