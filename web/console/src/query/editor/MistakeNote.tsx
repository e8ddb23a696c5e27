/** What is wrong with a question, and what was probably meant, one press away. */

import type { ReactNode } from "react";
import { sentence } from "../../api/ApiErrorNote";
import { AlertIcon, Button } from "../../ui";
import type { Mistake } from "../asking/ask";
import styles from "./editor.module.css";

export type MistakeNoteProps = {
	id?: string | undefined;
	mistake: Mistake;
	/** The question with the mistake in it. */
	text: string;
	onCorrect?: ((text: string) => void) | undefined;
};

export function MistakeNote({ id, mistake, text, onCorrect }: MistakeNoteProps) {
	const { message, place, suggestion } = mistake;
	return (
		<div id={id} className={styles.mistake} role="alert">
			<AlertIcon size={14} />
			<p>{withCode(sentence(message))}</p>
			{suggestion !== undefined && place && onCorrect && (
				<Button
					size="small"
					onClick={() => onCorrect(text.slice(0, place.start) + suggestion + text.slice(place.end))}
				>
					Change to <code>{suggestion}</code>
				</Button>
			)}
		</div>
	);
}

/** The server writes what is code between backticks. */
function withCode(words: string): ReactNode[] {
	return words.split("`").map((part, at) =>
		// biome-ignore lint/suspicious/noArrayIndexKey: a part has no name, only a place
		at % 2 === 1 ? <code key={at}>{part}</code> : part,
	);
}
