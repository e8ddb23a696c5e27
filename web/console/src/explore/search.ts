/** What of Explore is in its address, so that a question can be shared: the question and how its answer is shown. */
import { given, oneOf, type RawSearch, text } from "../app/search";
import { VIEWS } from "../charts/views";

export function validateSearch(raw: RawSearch) {
	return given({
		q: text(raw.q),
		view: oneOf(VIEWS, raw.view),
		/** In which language; only where the question does not show it. */
		lang: oneOf(["query", "sql"] as const, raw.lang),
	});
}
