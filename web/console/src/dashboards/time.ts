/** The time and the pace of a dashboard, as its address says them. */

import { nanosOf } from "../query/language/amounts";
import { type TimeRange, withTime } from "../query/language/clauses";
import { parse } from "../query/language/parse";
import type { DashboardSearch, Refresh } from "./search";

/** What is shown where the address says nothing. */
const USUAL: TimeRange = { kind: "since", length: "1h" };
const USUAL_REFRESH: Refresh = "30s";

export function rangeOf({ since, from, to }: DashboardSearch): TimeRange {
	if (from !== undefined) return { kind: "between", from, to };
	if (since === "all") return { kind: "all" };
	return since === undefined || nanosOf(since) === undefined
		? USUAL
		: { kind: "since", length: since };
}

/** The members of the address that say a range. */
export function inAddress(range: TimeRange): Pick<DashboardSearch, "since" | "from" | "to"> {
	if (range.kind === "all") return { since: "all" };
	if (range.kind === "since") return { since: range.length };
	return { from: range.from, ...(range.to !== undefined && { to: range.to }) };
}

export function refreshOf({ refresh }: DashboardSearch): Refresh {
	return refresh ?? USUAL_REFRESH;
}

/** How many milliseconds lie between two askings; none where it is not asked again. */
export function paceOf(refresh: Refresh): number | false {
	const nanos = nanosOf(refresh);
	return nanos === undefined ? false : nanos / 1e6;
}

/** A panel's question about a dashboard's time. One in SQL says its own. */
export function questionAt(query: string, range: TimeRange): string {
	const question = parse(query);
	return question ? withTime(question, range).text : query;
}
