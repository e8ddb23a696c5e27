/** A question on its way: as it is written, as it was asked, and its answer. What was asked stands in the address. */

import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import type { View } from "../charts/views";
import { type Language, languageOf, type Mistake, mistakeOf } from "../query/asking/ask";
import { type Asked, type Shown, shownQuery } from "../query/asking/shown";
import { parse } from "../query/language/parse";
import { rememberQuestion } from "./history";

/** What SQL begins with where nothing is written yet. */
const SQL_EXAMPLE = `select op, count(*) as n, avg(duration_ns) as mean_ns
from spans
where record is null and start > now() - interval '1 hour'
group by op
order by n desc`;

export type Explore = {
	draft: string;
	setDraft(text: string): void;
	language: Language;
	setLanguage(language: Language): void;
	view: View;
	setView(view: View): void;
	/** Asks what is written, or another question. */
	run(text?: string, view?: View): void;
	cancel(): void;
	/** What was asked; nothing before the first question. */
	asked: Asked | undefined;
	shown: Shown | undefined;
	/** Whether what is shown is the answer to an earlier question. */
	isOld: boolean;
	/** Whether the question was given up before its answer came. */
	isCancelled: boolean;
	isRunning: boolean;
	error: unknown;
	/** What of the question as it is written the server did not understand. */
	mistake: Mistake | undefined;
};

export function useExplore(): Explore {
	const search = useSearch({ from: "/explore" });
	const navigate = useNavigate({ from: "/explore" });
	const client = useQueryClient();
	const text = search.q ?? "";
	const [draft, setDraft] = useFollowing(text);
	const [chosen, setChosen] = useFollowing(search.lang);
	const [left, setLeft] = useState<Record<Language, string>>({ query: "", sql: SQL_EXAMPLE });
	const [askings, setAskings] = useState<Record<string, number>>({});
	// What begins as SQL does is SQL, whatever was chosen.
	const language = languageOf(draft) === "sql" ? "sql" : (chosen ?? "query");
	const askedLanguage = search.lang ?? languageOf(text);
	const view = search.view ?? viewFor(askedLanguage, text);

	const asked: Asked = { language: askedLanguage, text, view };
	const query = {
		...shownQuery(asked, askings[keyOf(asked)]),
		enabled: text !== "",
	};
	const { data, error, isFetching, isPlaceholderData } = useQuery({
		...query,
		placeholderData: keepPreviousData,
	});

	return {
		draft,
		setDraft,
		language,
		setLanguage(next) {
			if (next === language) return;
			setLeft({ ...left, [language]: draft });
			setDraft(left[next]);
			setChosen(next);
		},
		view,
		setView: (view) => navigate({ search: (search) => ({ ...search, view }) }),
		run(next = draft, view = search.view) {
			const q = next.trim();
			if (q === "") return;
			// What comes from elsewhere says itself in which language it is.
			const lang = next === draft ? language : languageOf(q);
			rememberQuestion(q);
			setDraft(q);
			// The question in the address is another one until the router has got there: it must not be asked again.
			const key = keyOf({ language: lang, text: q, view: view ?? viewFor(lang, q) });
			setAskings((askings) => ({ ...askings, [key]: (askings[key] ?? 0) + 1 }));
			navigate({ search: { q, ...(view && { view }), ...(lang !== languageOf(q) && { lang }) } });
		},
		cancel: () => client.cancelQueries({ queryKey: query.queryKey }),
		asked: text === "" ? undefined : asked,
		shown: data,
		isOld: isPlaceholderData,
		isCancelled: text !== "" && !isFetching && !error && (data === undefined || isPlaceholderData),
		isRunning: isFetching,
		error,
		mistake: draft === text ? mistakeOf(error, text) : undefined,
	};
}

const keyOf = ({ language, text, view }: Asked) => [language, view, text].join(" ");

/** What can be changed until another value comes from outside. */
function useFollowing<T>(value: T): [T, (value: T) => void] {
	const [state, setState] = useState({ followed: value, own: value });
	if (state.followed !== value) setState({ followed: value, own: value });
	return [state.own, (own) => setState({ followed: value, own })];
}

/** How an answer is shown where nobody has chosen: over time where it is told by time. */
export function viewFor(language: Language, text: string): View {
	const isSeries = language === "query" && parse(text)?.per !== undefined;
	return isSeries ? "series" : "table";
}
