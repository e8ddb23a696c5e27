/** What a table of an answer does with its rows: sorts them, and writes them as CSV. */

import type { Answer, Value } from "./answer";

export type Sorting = { column: number; descending: boolean };

const collator = new Intl.Collator("en", { numeric: true });

/** The places of the rows in the order in which they are shown. What is not there comes last either way. */
export function sortedRows({ rows }: Answer, sorting: Sorting | undefined): number[] {
	const places = rows.map((_, at) => at);
	if (!sorting) return places;
	const { column, descending } = sorting;
	return places.sort((a, b) => {
		const [one, other] = [rows[a]?.[column] ?? null, rows[b]?.[column] ?? null];
		if (one === null || other === null) return Number(one === null) - Number(other === null);
		return compare(one, other) * (descending ? -1 : 1);
	});
}

function compare(one: Value, other: Value): number {
	if (typeof one === "number" && typeof other === "number") return one - other;
	return collator.compare(String(one), String(other));
}

/** The next way to sort by a column: down, up, and as the answer came. */
export function nextSorting(sorting: Sorting | undefined, column: number): Sorting | undefined {
	if (sorting?.column !== column) return { column, descending: true };
	return sorting.descending ? { column, descending: false } : undefined;
}

/** Comma-separated values (RFC 4180) with a line of names, in the order shown. */
export function csvOf(answer: Answer, order: readonly number[]): string {
	const lines = order.map((at) => (answer.rows[at] ?? []).map(cellOf));
	return [answer.columns.map(({ name }) => cellOf(name)), ...lines]
		.map((cells) => `${cells.join(",")}\r\n`)
		.join("");
}

function cellOf(value: Value): string {
	const text = typeof value === "string" ? harmless(value) : String(value ?? "");
	return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** What a program that reads CSV takes for a formula, and would run: text that begins so, unless it is a number. */
const FORMULA = /^(?![+-]?\d+(\.\d+)?(e[+-]?\d+)?$)[=+\-@\t\r]/i;

const harmless = (text: string) => (FORMULA.test(text) ? `'${text}` : text);
