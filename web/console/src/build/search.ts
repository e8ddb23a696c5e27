/** What of a build's page is in its address: the tab, and the tool call, event or span that is looked at. */
import { given, oneOf, type RawSearch, text } from "../app/search";

export const TABS = ["todos", "trace", "path", "events"] as const;

export type Tab = (typeof TABS)[number];

export interface BuildSearch {
	/** The todos unless it is said. Beside them the trace is a tab of its own only on narrow screens. */
	tab?: Tab;
	/** Id of the tool call. */
	tool?: string;
	/** Number of the event. */
	event?: string;
	/** Id of the span. */
	span?: string;
}

export function validateSearch(raw: RawSearch): BuildSearch {
	const event = text(raw.event);
	return given({
		tab: oneOf(TABS, raw.tab),
		tool: text(raw.tool),
		event: event && /^[1-9]\d{0,14}$/.test(event) ? event : undefined,
		span: text(raw.span),
	});
}
