/**
 * Where questions are written: a text field whose words have colours, with completion and with mistakes in their place.
 *
 * The field itself is a plain textarea with transparent letters, so that typing, selecting, undoing and reading aloud are the
 * browser's own. Behind it the same text lies in colours. To assistive technology it is a text field of several lines with a
 * list of suggestions: what a combobox of one line is.
 */

import { type KeyboardEvent, type ReactNode, useId, useRef } from "react";
import type { Language, Mistake } from "../asking/ask";
import { type Place, piecesOf } from "../language/highlight";
import styles from "./editor.module.css";
import { Suggestions } from "./Suggestions";
import { useCompletion } from "./useCompletion";

export type EditorProps = {
	value: string;
	onChange(value: string): void;
	onRun(): void;
	language: Language;
	/** What is wrong with the question as it stands. */
	mistake?: Mistake | undefined;
	/** The id of what describes the mistake. */
	mistakeId?: string | undefined;
	label: string;
	placeholder?: string | undefined;
	/** What stands at the field's end. */
	children?: ReactNode;
};

export function Editor(props: EditorProps) {
	const { value, onChange, onRun, language, mistake, mistakeId, label, placeholder } = props;
	const field = useRef<HTMLTextAreaElement>(null);
	const layer = useRef<HTMLPreElement>(null);
	const listId = useId();
	const completion = useCompletion(field, {
		text: value,
		onChange,
		isEnabled: language === "query",
	});
	const { options, chosen } = completion;
	const isOpen = options.length > 0;

	const handleKey = (event: KeyboardEvent<HTMLTextAreaElement>) => {
		if (completion.handleKey(event) || event.nativeEvent.isComposing) return;
		const isLine = event.shiftKey || (language === "sql" && !event.ctrlKey && !event.metaKey);
		if (event.key !== "Enter" || isLine) return;
		event.preventDefault();
		completion.close();
		onRun();
	};

	return (
		<div className={styles.editor} data-invalid={mistake ? "" : undefined}>
			<div className={styles.text}>
				<div className={styles.scroller}>
					<pre ref={layer} className={styles.layer} aria-hidden="true">
						<Coloured text={value} language={language} place={mistake?.place} />
					</pre>
					<textarea
						ref={field}
						className={styles.input}
						value={value}
						placeholder={placeholder}
						onChange={(event) => {
							onChange(event.target.value);
							completion.open(false);
						}}
						onKeyDown={handleKey}
						onSelect={completion.cursorMoved}
						onBlur={completion.close}
						rows={1}
						spellCheck={false}
						autoCapitalize="off"
						autoComplete="off"
						autoCorrect="off"
						enterKeyHint={language === "query" ? "go" : "enter"}
						aria-label={label}
						aria-autocomplete={language === "query" ? "list" : undefined}
						aria-haspopup={language === "query" ? "listbox" : undefined}
						aria-controls={isOpen ? listId : undefined}
						aria-activedescendant={isOpen && chosen >= 0 ? `${listId}-${chosen}` : undefined}
						aria-invalid={mistake ? true : undefined}
						aria-describedby={mistake ? mistakeId : undefined}
					/>
				</div>
				{isOpen && <Suggestions id={listId} completion={completion} layer={layer} />}
			</div>
			{props.children}
			<div className="visually-hidden" aria-live="polite">
				{isOpen && `${options.length} suggestions`}
			</div>
		</div>
	);
}

function Coloured({
	text,
	language,
	place,
}: {
	text: string;
	language: Language;
	place: Place | undefined;
}) {
	const pieces = piecesOf(text, place);
	return (
		<>
			{pieces.map((piece, at) => (
				<span
					// biome-ignore lint/suspicious/noArrayIndexKey: a piece has no name, only a place
					key={at}
					className={language === "query" ? styles[piece.kind] : undefined}
					data-mistake={piece.isMistake ? "" : undefined}
				>
					{piece.text}
				</span>
			))}
			{/* A line break at the end begins a line only if something stands on it. */}
			{"\u200b"}
		</>
	);
}
