/**
 * An input or an output, as it is best read: texts as they are with their colours, an object by its fields, anything else as
 * JSON. Nothing of it is ever markup.
 */
import { useMemo } from "react";
import { Fold } from "../../ui";
import { fieldsOf } from "./call";
import styles from "./value.module.css";

/** Longer texts that look like JSON are shown as they came. */
const READ_AS_JSON = 1 << 20;

/** A field with more than this, or more than a line, has a place of its own. */
const INLINE = 160;

export interface ValueProps {
	value: unknown;
	/** What it is: "Output of Bash". */
	label: string;
}

export function Value({ value, label }: ValueProps) {
	const read = useMemo(() => (typeof value === "string" ? readJson(value) : value), [value]);
	if (typeof read === "string") return <Text text={read} label={label} />;
	const fields = Object.entries(fieldsOf(read));
	if (fields.length === 0) return <Text text={pretty(read)} label={label} />;
	return (
		<dl className={styles.fields}>
			{fields.map(([key, one]) => (
				<Field key={key} name={key} value={one} label={`${key} of ${label}`} />
			))}
		</dl>
	);
}

function Field({ name, value, label }: { name: string; value: unknown; label: string }) {
	const text = typeof value === "string" ? value : pretty(value);
	const isInline = text.length <= INLINE && !text.trimEnd().includes("\n");
	return (
		<div className={isInline ? styles.inline : styles.block}>
			<dt>{name}</dt>
			<dd>
				{isInline ? (
					<code>{text === "" ? <Empty /> : text}</code>
				) : (
					<Text text={text} label={label} />
				)}
			</dd>
		</div>
	);
}

function Text({ text, label }: { text: string; label: string }) {
	if (text === "") return <Empty />;
	return <Fold text={text} label={label} />;
}

function Empty() {
	return <span className={styles.empty}>empty</span>;
}

/** What a text says in JSON; the text itself if it is none, or nothing more than a text or a number. */
function readJson(text: string): unknown {
	if (text.length > READ_AS_JSON || !/^\s*[[{]/.test(text)) return text;
	try {
		return JSON.parse(text);
	} catch {
		return text;
	}
}

function pretty(value: unknown): string {
	return JSON.stringify(value, null, 2) ?? "";
}
