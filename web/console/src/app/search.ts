/**
 * A page's filters in its address.
 *
 * Addresses stay readable: every value is a plain text (`?status=failed&q=make`), and what is empty is left out. Each page's
 * `validateSearch` makes of them what it needs, by `text`, `oneOf` and `flag`.
 */

/** What stands in an address before a page has looked at it. */
export type RawSearch = Record<string, unknown>;

export function parseSearch(query: string): Record<string, string> {
	return Object.fromEntries(new URLSearchParams(query));
}

export function stringifySearch(search: Record<string, unknown>): string {
	const kept = Object.entries(search).filter(
		([, value]) => value !== undefined && value !== null && value !== "" && value !== false,
	);
	const query = new URLSearchParams(kept.map(([key, value]) => [key, String(value)])).toString();
	return query ? `?${query}` : "";
}

/** A text, or none if it is empty. */
export function text(value: unknown): string | undefined {
	return typeof value === "string" && value !== "" ? value : undefined;
}

/** One of a few words, or none if it is another. */
export function oneOf<Word extends string>(
	words: readonly Word[],
	value: unknown,
): Word | undefined {
	return words.find((word) => word === value);
}

/** Whether something is on. */
export function flag(value: unknown): true | undefined {
	return value === true || value === "true" || value === "1" ? true : undefined;
}

/** Leaves out the members that have no value, so that they are not in the address either. */
export function given<Search extends object>(
	search: Search,
): {
	[Key in keyof Search]?: Exclude<Search[Key], undefined>;
} {
	const kept = Object.entries(search).filter(([, value]) => value !== undefined);
	return Object.fromEntries(kept) as ReturnType<typeof given<Search>>;
}
