/** Panels of questions that are asked again and again. */
import { EmptyState, PageHeader } from "../ui";

export function Page() {
	return (
		<>
			<PageHeader title="Dashboards" />
			<EmptyState title="This page is not there yet" />
		</>
	);
}
