/**
 * A text that may be long: its beginning at first, all of it when asked, with a search within.
 *
 * Only the rows in sight are in the page, so that 10 MiB cost no more than a screenful.
 */
import { useMemo, useState } from "react";
import { AnsiText } from "./AnsiText";
import { Button } from "./Button";
import { CopyButton } from "./CopyButton";
import { cx } from "./cx";
import { FoldOpen } from "./FoldOpen";
import styles from "./fold.module.css";
import { formatBytes, formatCount } from "./format";
import { beginning, countLines } from "./lines";

/** How much of the beginning is shown at most, in characters. */
const BEGINNING = 4_096;

declare module "react" {
	interface CSSProperties {
		"--lines"?: number;
	}
}

export interface FoldProps {
	text: string;
	/** What the text is: "Output of make". */
	label: string;
	/** How many lines are shown while it is folded. */
	lines?: number | undefined;
	className?: string | undefined;
}

export function Fold({ text, label, lines = 12, className }: FoldProps) {
	const [open, setOpen] = useState(false);
	const start = useMemo(() => beginning(text, lines, BEGINNING), [text, lines]);
	const isWhole = start.length === text.length;

	if (open && !isWhole) {
		return (
			<FoldOpen text={text} label={label} className={className} onFold={() => setOpen(false)} />
		);
	}
	return (
		<section className={cx(styles.fold, className)} aria-label={label}>
			<pre className={cx(styles.text, !isWhole && styles.faded)} style={{ "--lines": lines }}>
				<AnsiText text={start} />
			</pre>
			{!isWhole && (
				<div className={cx(styles.bar, styles.foot)}>
					<Button variant="ghost" size="small" onClick={() => setOpen(true)}>
						Show all <Extent text={text} />
					</Button>
					<span className={styles.space} />
					<CopyButton text={text} label={`Copy ${label}`} size="small" />
				</div>
			)}
		</section>
	);
}

function Extent({ text }: { text: string }) {
	const lines = useMemo(() => countLines(text), [text]);
	// Of a text in one line it is the size that tells.
	return lines > 1 ? `${formatCount(lines)} lines` : formatBytes(text.length);
}
