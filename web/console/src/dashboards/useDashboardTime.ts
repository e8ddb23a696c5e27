/** The time that all panels show and the pace at which they are asked again: both in the address. */

import { useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import type { TimeRange } from "../query/language/clauses";
import type { DashboardSearch, Refresh } from "./search";
import { inAddress, rangeOf, refreshOf } from "./time";

export type DashboardTime = {
	range: TimeRange;
	setRange(range: TimeRange): void;
	refresh: Refresh;
	setRefresh(refresh: Refresh): void;
};

export function useDashboardTime(): DashboardTime {
	const search = useSearch({ from: "/dashboards/$dashboardId" });
	const navigate = useNavigate({ from: "/dashboards/$dashboardId" });
	const range = useMemo(() => rangeOf(search), [search]);
	return {
		range,
		setRange: (range) =>
			navigate({
				search: ({ since: _, from: __, to: ___, ...others }: DashboardSearch) => ({
					...others,
					...inAddress(range),
				}),
			}),
		refresh: refreshOf(search),
		setRefresh: (refresh) =>
			navigate({ search: (search) => ({ ...search, refresh }), replace: true }),
	};
}
