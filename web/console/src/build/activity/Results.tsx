/** What a search has found: each tool call or text with the lines that have the words. Any of them leads to its place. */
import { useVirtualizer } from "@tanstack/react-virtual";
import { useState } from "react";
import { EmptyState } from "../../ui";
import { type Found, type FoundLine, MOST_FOUND } from "./find";
import styles from "./results.module.css";

export interface ResultsProps {
	found: readonly Found[];
	onGoTo(key: string): void;
}

export function Results({ found, onGoTo }: ResultsProps) {
	const [scroller, setScroller] = useState<HTMLElement | null>(null);
	const rows = useVirtualizer({
		count: found.length,
		getScrollElement: () => scroller,
		getItemKey: (row) => found[row]?.item.key ?? row,
		estimateSize: () => 64,
		overscan: 8,
	});
	if (found.length === 0) {
		return <EmptyState title="Nothing found">Inputs, outputs and texts were searched.</EmptyState>;
	}
	return (
		<section
			ref={setScroller}
			className={styles.scroller}
			aria-label="Search results"
			// biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable without a pointer.
			tabIndex={0}
		>
			<ul className={styles.sheet} style={{ height: rows.getTotalSize() }}>
				{rows.getVirtualItems().map((row) => {
					const one = found[row.index];
					return (
						one && (
							<li
								key={row.key}
								ref={rows.measureElement}
								data-index={row.index}
								className={styles.row}
								style={{ transform: `translateY(${row.start}px)` }}
							>
								<Result found={one} onGoTo={onGoTo} />
							</li>
						)
					);
				})}
			</ul>
			{found.length >= MOST_FOUND && (
				<p className={styles.more}>Only the first {MOST_FOUND} are shown. More words find fewer.</p>
			)}
		</section>
	);
}

function Result({
	found: { item, lines, more },
	onGoTo,
}: { found: Found } & Pick<ResultsProps, "onGoTo">) {
	const title = item.kind === "call" ? item.call.name || "Unknown tool" : TITLES[item.text.kind];
	return (
		<button type="button" className={styles.result} onClick={() => onGoTo(item.key)}>
			<span className={styles.title}>{title}</span>
			{lines.map((line, at) => (
				// biome-ignore lint/suspicious/noArrayIndexKey: equal lines are told apart by nothing else.
				<Line key={at} {...line} />
			))}
			{more > 0 && <span className={styles.more}>and {more} more</span>}
		</button>
	);
}

const TITLES = { text: "Text", reasoning: "Reasoning" };

function Line({ line, start, length }: FoundLine) {
	return (
		<code className={styles.line}>
			{line.slice(0, start)}
			<mark>{line.slice(start, start + length)}</mark>
			{line.slice(start + length)}
		</code>
	);
}
