/** What of a build's page is in its address: the tool call or span that is looked at, and the tab. */
import { given, type RawSearch, text } from "../app/search";

export function validateSearch(raw: RawSearch) {
	return given({ tool: text(raw.tool), tab: text(raw.tab), span: text(raw.span) });
}
