/** Somebody else has saved the dashboard that is being edited: whose is to stay? */

import { useQueryClient } from "@tanstack/react-query";
import { Button, Dialog } from "../ui";
import type { Dashboard } from "./model";
import { documentQuery } from "./store";
import type { Editing } from "./useEditing";

export function ConflictDialog({
	editing,
	theirs,
}: {
	editing: Editing;
	theirs: Dashboard | "removed";
}) {
	const client = useQueryClient();
	const isRemoved = theirs === "removed";
	const loadTheirs = () => {
		editing.drop();
		client.invalidateQueries(documentQuery());
	};
	return (
		<Dialog
			open
			onClose={editing.dismiss}
			title={
				isRemoved ? "Somebody has removed this dashboard" : "Somebody else has saved this dashboard"
			}
			description={
				isRemoved
					? "It was removed while you were editing it. Nothing of yours is lost yet."
					: "It was saved while you were editing it. Nothing of yours is lost yet."
			}
			footer={
				<>
					<Button onClick={editing.dismiss}>Go on editing</Button>
					<Button onClick={loadTheirs}>{isRemoved ? "Leave it removed" : "Load theirs"}</Button>
					<Button
						variant="primary"
						busy={editing.isSaving}
						onClick={() => editing.save({ overwrite: true })}
					>
						{isRemoved ? "Save mine again" : "Overwrite with mine"}
					</Button>
				</>
			}
		/>
	);
}
