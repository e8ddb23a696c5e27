/** What of a trace's page is in its address: the span that is looked at, and the filters. */
import { flag, given, type RawSearch, text } from "../app/search";

export function validateSearch(raw: RawSearch) {
	return given({
		span: text(raw.span),
		q: text(raw.q),
		service: text(raw.service),
		op: text(raw.op),
		errors: flag(raw.errors),
	});
}
