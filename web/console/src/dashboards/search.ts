/** What of a dashboard is in its address: the time that all its panels show, and how often they are asked again. */
import { flag, given, oneOf, type RawSearch, text } from "../app/search";

export const REFRESHES = ["off", "5s", "10s", "30s", "1m", "5m"] as const;

export type Refresh = (typeof REFRESHES)[number];

export function validateSearch(raw: RawSearch) {
	return given({
		/** How long before now, or `all`. */
		since: text(raw.since),
		from: text(raw.from),
		to: text(raw.to),
		refresh: oneOf(REFRESHES, raw.refresh),
		edit: flag(raw.edit),
	});
}

export type DashboardSearch = ReturnType<typeof validateSearch>;
