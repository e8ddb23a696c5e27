/** Asks the server a question, in the query language or in SQL, and reads what it says of one that it does not understand. */

import { get, hasCode, send } from "../../api/client";
import type { Answer } from "../../charts/answer";
import type { Place } from "../language/highlight";
import { placeOfByte } from "../language/places";
import { inTurn } from "./queue";

export type Language = "query" | "sql";

export type AskOptions = { signal?: AbortSignal | undefined; limit?: number | undefined };

/** SQL begins with a word with which no question of the query language begins. */
export function languageOf(text: string): Language {
	return /^\s*(select|with)\b/i.test(text) ? "sql" : "query";
}

/** The answer to a question. */
export function ask(
	language: Language,
	text: string,
	{ signal, limit }: AskOptions = {},
): Promise<Answer> {
	return inTurn(() => {
		if (language === "sql") {
			return send<Answer>("POST", "api/sql", { sql: text, limit }, { signal });
		}
		const query = new URLSearchParams({ q: text });
		if (limit !== undefined) query.set("limit", String(limit));
		return get<Answer>(`api/query?${query}`, { signal });
	}, signal);
}

/** What of a question is not understood, and where. */
export type Mistake = {
	message: string;
	/** From the first letter up to the one behind the last; nothing where the whole statement is meant. */
	place: Place | undefined;
	/** What was probably meant, if it can stand in the mistake's place. */
	suggestion: string | undefined;
};

/** What the server did not understand of a question, if that is what it said. */
export function mistakeOf(error: unknown, text: string): Mistake | undefined {
	if (!hasCode(error, "bad_query")) return undefined;
	const { start, end, suggestion } = (error.body ?? {}) as Record<string, unknown>;
	const letter = (bytes: unknown) => placeOfByte(text, typeof bytes === "number" ? bytes : 0);
	const place = { start: letter(start), end: letter(end) };
	const isWhole = languageOf(text) === "sql" && place.start === 0 && place.end === text.length;
	// "count(spans) … by …" says how it would be written, and is not what is to be written.
	const isText = typeof suggestion === "string" && !suggestion.includes("…");
	return {
		message: error.message,
		place: isWhole ? undefined : place,
		suggestion: isText ? suggestion : undefined,
	};
}
