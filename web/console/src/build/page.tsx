/** A build: its todos, tool calls and texts as they happen, beside its trace. */
import { EmptyState, PageHeader } from "../ui";

export function Page() {
	return (
		<>
			<PageHeader title="Build" />
			<EmptyState title="This page is not there yet" />
		</>
	);
}
