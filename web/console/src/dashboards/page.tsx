/** Dashboards: the list of them, or one of them. */

import { useParams } from "@tanstack/react-router";
import { DashboardPage } from "./DashboardPage";
import { ListPage } from "./ListPage";

export function Page() {
	const { dashboardId } = useParams({ strict: false });
	return dashboardId === undefined ? (
		<ListPage />
	) : (
		<DashboardPage key={dashboardId} dashboardId={dashboardId} />
	);
}
