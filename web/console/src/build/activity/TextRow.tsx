/** A piece of a text: words of the agent, its reasoning, or what a program printed. */
import type { BuildText } from "@hopline/react";
import { memo } from "react";
import { AnsiText, CopyButton, cx, hasAnsi } from "../../ui";
import styles from "./text.module.css";

export interface TextRowProps {
	text: BuildText;
	piece: string;
	isFirst: boolean;
	isLast: boolean;
}

export const TextRow = memo(
	function TextRow({ text, piece, isFirst, isLast }: TextRowProps) {
		const title = titleOf(text);
		const isPrinted = PRINTED.test(text.id) || hasAnsi(piece);
		return (
			<div
				className={cx(
					styles.text,
					isPrinted && styles.printed,
					text.kind === "reasoning" && styles.reasoning,
					isFirst && styles.first,
					isLast && styles.last,
				)}
			>
				{isFirst && title && (
					<header className={styles.title}>
						{title}
						<CopyButton size="small" label={`Copy ${title}`} text={() => text.text} />
					</header>
				)}
				{isFirst && text.truncated && <p className={styles.cut}>The beginning is left out.</p>}
				<div className={styles.words}>
					{/* Of empty lines at the end one would only see that there is nothing. */}
					<AnsiText text={isLast ? piece.trimEnd() : piece} />
				</div>
			</div>
		);
	},
	// Of a text that grows only the last piece differs, and the first, by which all of it is copied.
	(before, after) =>
		before.piece === after.piece &&
		(!after.isFirst || before.text === after.text) &&
		before.isFirst === after.isFirst &&
		before.isLast === after.isLast &&
		before.text.id === after.text.id,
);

/** Texts that a step's program has printed are named after its streams. */
const PRINTED = /(?:^|[-_ ])std(?:out|err)$/;

function titleOf({ kind, id }: BuildText): string | undefined {
	if (kind === "reasoning") return "Reasoning";
	return PRINTED.test(id) ? (id.endsWith("err") ? "stderr" : "stdout") : undefined;
}
