/** A failed request in calm words: what did not work, and what to do about it. */
import { Button, ErrorNote } from "../ui";
import { ApiError } from "./client";

export interface ApiErrorNoteProps {
	error: unknown;
	/** What was wanted: "The builds could not be read". */
	title: string;
	onRetry?: (() => void) | undefined;
}

export function ApiErrorNote({ error, title, onRetry }: ApiErrorNoteProps) {
	const retry = onRetry && (
		<Button size="small" onClick={onRetry}>
			Try again
		</Button>
	);
	return (
		<ErrorNote title={title} action={retry}>
			<p>{adviceFor(error)}</p>
		</ErrorNote>
	);
}

/** What to do about an error. */
export function adviceFor(error: unknown): string {
	if (!(error instanceof ApiError)) return "Something in the console went wrong. Reload the page.";
	switch (error.code) {
		case "unreachable":
			return "The server cannot be reached. This goes on by itself once it is back.";
		case "unauthorized":
			return "Sign in again to go on.";
		case "database_unavailable":
			return "The database is busy or away. Try again in a moment.";
		case "internal":
			return "The server could not do it. Its log says why.";
		default:
			return sentence(error.message);
	}
}

/** The server's words as a sentence: it writes them without a capital and a full stop. */
export function sentence(words: string): string {
	const capital = words.charAt(0).toUpperCase() + words.slice(1);
	return /[.!?…]$/.test(capital) ? capital : `${capital}.`;
}
