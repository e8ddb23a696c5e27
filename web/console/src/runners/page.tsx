/** x */
import { EmptyState, PageHeader } from "../ui";

export function Page() {
	return (
		<>
			<PageHeader title="runners" />
			<EmptyState title="This page is not there yet" />
		</>
	);
}
