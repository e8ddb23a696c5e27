/** The sign-in page's address: why it is shown, and where to go on afterwards. */
import { given, oneOf, type RawSearch, text } from "../search";

/** `ended`: a sign-in that there was holds no more; `link_used`: a one-time link did not work. */
export const REASONS = ["ended", "link_used"] as const;

export type Reason = (typeof REASONS)[number];

export function validateSearch(raw: RawSearch) {
	const to = text(raw.to);
	// Only within the console: a link must not make the sign-in lead somewhere else.
	const isOurs = to?.startsWith("/") && !to.startsWith("//") && !to.includes("\\");
	return given({ to: isOurs ? to : undefined, reason: oneOf(REASONS, raw.reason) });
}
