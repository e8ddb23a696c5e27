/** The sign-in page's address: where to go on afterwards. */
import { given, type RawSearch, text } from "../search";

export function validateSearch(raw: RawSearch) {
	const to = text(raw.to);
	// Only within the console: a link must not make the sign-in lead somewhere else.
	return given({ to: to?.startsWith("/") && !to.startsWith("//") ? to : undefined });
}
