/** What of Explore is in its address: the question, and how its answer is shown. */
import { given, type RawSearch, text } from "../app/search";

export function validateSearch(raw: RawSearch) {
	return given({ q: text(raw.q), view: text(raw.view) });
}
