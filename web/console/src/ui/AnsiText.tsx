/** Text of a terminal, with its colours. */
import { useMemo } from "react";
import { parseAnsi } from "./ansi";
import styles from "./ansi.module.css";
import { cx } from "./cx";
import { type Segment, segments } from "./segments";

export function AnsiText({ text }: { text: string }) {
	const parsed = useMemo(() => parseAnsi(text), [text]);
	return <Segments text={parsed.text} parts={segments(0, parsed.text.length, parsed.runs)} />;
}

/** Stretches of a text, each in its look. */
export function Segments({ text, parts }: { text: string; parts: readonly Segment[] }) {
	return parts.map(({ start, end, look, match }) => {
		const words = text.slice(start, end);
		if (!look && !match) return words;
		const classes = look.split(" ").map((name) => styles[name]);
		const Tag = match ? "mark" : "span";
		return (
			<Tag key={start} className={cx(...classes, match && styles[match])}>
				{words}
			</Tag>
		);
	});
}
