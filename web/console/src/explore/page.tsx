/** Questions about spans, and their answers as charts. */
import { EmptyState, PageHeader } from "../ui";

export function Page() {
	return (
		<>
			<PageHeader title="Explore" />
			<EmptyState title="This page is not there yet" />
		</>
	);
}
