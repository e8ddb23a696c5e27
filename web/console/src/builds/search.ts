/** Which builds are listed, as the address says it. */
import { given, oneOf, type RawSearch, text } from "../app/search";

export const STATUSES = ["active", "completed", "failed"] as const;

export function validateSearch(raw: RawSearch) {
	return given({
		status: oneOf(STATUSES, raw.status),
		project: text(raw.project),
		q: text(raw.q),
	});
}

export type BuildsSearch = ReturnType<typeof validateSearch>;
