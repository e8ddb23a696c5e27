/** What of a trace's page is in its address: the span that is looked at, what is searched for, and the filters. */
import { flag, given, type RawSearch, text } from "../app/search";
import type { WaterfallView } from "./view/Waterfall";

export interface TraceSearch {
	/** Id of the span whose details are shown. */
	span?: string;
	q?: string;
	/** Services and ops to filter by, with commas between them. */
	service?: string;
	op?: string;
	errors?: true;
}

export function validateSearch(raw: RawSearch): TraceSearch {
	return given({
		span: text(raw.span),
		q: text(raw.q),
		service: text(raw.service),
		op: text(raw.op),
		errors: flag(raw.errors),
	});
}

/** Members that are there without a value are as good as left out. */
type ViewSearch = { [Key in Exclude<keyof TraceSearch, "span">]?: TraceSearch[Key] | undefined };

export function viewOf({ q, service, op, errors }: ViewSearch): WaterfallView {
	return {
		query: q ?? "",
		filter: { services: splitList(service), ops: splitList(op), errors: errors ?? false },
	};
}

export function searchOf({ query, filter }: WaterfallView): Omit<TraceSearch, "span"> {
	return given({
		q: text(query),
		service: text(joinList(filter.services)),
		op: text(joinList(filter.ops)),
		errors: flag(filter.errors),
	});
}

/** How the word is written that is empty: spans without an op are filtered by it. */
const EMPTY = "\\0";

/** Commas and backslashes within a word are written with a backslash before them. */
function joinList(words: readonly string[]): string {
	return words.map((word) => word.replace(/[\\,]/g, "\\$&") || EMPTY).join(",");
}

function splitList(list: string | undefined): string[] {
	if (list === undefined) return [];
	const words = list.match(/(?:\\.|[^\\,])+/g) ?? [];
	return words.map((word) => (word === EMPTY ? "" : word.replace(/\\(.)/g, "$1")));
}
