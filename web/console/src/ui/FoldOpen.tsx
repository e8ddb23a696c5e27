/** The whole of a long text, row by row, and a search within it. */
import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import { Segments } from "./AnsiText";
import { Button, IconButton } from "./Button";
import { CopyButton } from "./CopyButton";
import { cx } from "./cx";
import styles from "./fold.module.css";
import { formatCount } from "./format";
import { ChevronDownIcon, ChevronUpIcon, SearchIcon } from "./icons";
import { findMatches, MOST_MATCHES, rowsOf } from "./lines";
import { firstAfter, type Matches, segments } from "./segments";
import { TextField } from "./TextField";
import { useTerminalText } from "./useTerminalText";

const ROW_HEIGHT = 18;

export interface FoldOpenProps {
	text: string;
	label: string;
	className?: string | undefined;
	onFold(): void;
}

export function FoldOpen({ text: raw, label, className, onFold }: FoldOpenProps) {
	const { text, runs, isGoingOn } = useTerminalText(raw);
	const { starts, cut } = useMemo(() => rowsOf(text), [text]);
	const search = useSearch(text);
	const scroll = useRef<HTMLDivElement>(null);
	const rows = useVirtualizer({
		count: starts.length - 1,
		getScrollElement: () => scroll.current,
		estimateSize: () => ROW_HEIGHT,
		overscan: 20,
	});

	const at = search.matches.starts[search.matches.current];
	useEffect(() => {
		if (at === undefined) return;
		const row = firstAfter(starts.length - 1, (row) => (starts[row + 1] ?? 0) > at);
		rows.scrollToIndex(row, { align: "center" });
	}, [at, starts, rows]);

	const shown = rows.getVirtualItems();
	return (
		<div className={cx(styles.fold, className)}>
			<div className={styles.bar}>
				<SearchBar search={search} />
				<span className={styles.space} />
				<CopyButton text={raw} label={`Copy ${label}`} size="small" />
				<Button variant="ghost" size="small" onClick={onFold}>
					Fold
				</Button>
			</div>
			<section
				ref={scroll}
				className={styles.scroll}
				aria-label={label}
				// biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable without a pointer.
				tabIndex={0}
			>
				<div className={styles.sheet} style={{ height: rows.getTotalSize() }}>
					<pre
						className={styles.rows}
						style={{ transform: `translateY(${shown[0]?.start ?? 0}px)` }}
					>
						{shown.map(({ index }) => (
							<div key={index} className={styles.row}>
								<Segments
									text={text}
									parts={segments(starts[index] ?? 0, starts[index + 1] ?? 0, runs, search.matches)}
								/>
							</div>
						))}
					</pre>
				</div>
				{isGoingOn && (
					<p className={styles.more} role="status">
						Reading the rest…
					</p>
				)}
				{cut && (
					<p className={styles.more}>The text goes on. Copy it to read the rest elsewhere.</p>
				)}
			</section>
		</div>
	);
}

interface Search {
	words: string;
	setWords(words: string): void;
	matches: Matches;
	step(by: 1 | -1): void;
}

function useSearch(text: string): Search {
	const [words, setWords] = useState("");
	const [current, setCurrent] = useState(0);
	const wanted = useDeferredValue(words);
	const starts = useMemo(() => findMatches(text, wanted), [text, wanted]);
	return {
		words,
		setWords(words) {
			setWords(words);
			setCurrent(0);
		},
		matches: { starts, length: wanted.length, current: Math.min(current, starts.length - 1) },
		step: (by) =>
			setCurrent((current) => (starts.length ? (current + by + starts.length) % starts.length : 0)),
	};
}

function SearchBar({ search: { words, setWords, matches, step } }: { search: Search }) {
	const found = matches.starts.length;
	const total = found === MOST_MATCHES ? `${formatCount(found)}+` : formatCount(found);
	const none = found === 0;

	function onKeyDown(event: KeyboardEvent) {
		if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
		else if (event.key === "Escape" && words) setWords("");
		else return;
		event.preventDefault();
		event.stopPropagation();
	}

	return (
		<>
			<TextField
				className={styles.search}
				label="Search in the text"
				hideLabel
				placeholder="Search"
				icon={<SearchIcon size={14} />}
				value={words}
				onChange={setWords}
				onKeyDown={onKeyDown}
			/>
			<span className={styles.count} role="status">
				{words && (none ? "Not found" : `${formatCount(matches.current + 1)} of ${total}`)}
			</span>
			<IconButton
				size="small"
				label="Previous match"
				icon={<ChevronUpIcon />}
				disabled={none}
				onClick={() => step(-1)}
			/>
			<IconButton
				size="small"
				label="Next match"
				icon={<ChevronDownIcon />}
				disabled={none}
				onClick={() => step(1)}
			/>
		</>
	);
}
