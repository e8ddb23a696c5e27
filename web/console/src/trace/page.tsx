/** A trace as a waterfall. */
import { EmptyState, PageHeader } from "../ui";

export function Page() {
	return (
		<>
			<PageHeader title="Trace" />
			<EmptyState title="This page is not there yet" />
		</>
	);
}
