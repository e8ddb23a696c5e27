/** Attributes in groups, with a search when there are many; each leads to the spans that have the same. */
import { Link } from "@tanstack/react-router";
import { Fragment, useMemo, useState } from "react";
import { writtenField, writtenValue } from "../../query/language/tokens";
import { CopyButton, ExploreIcon, Fold, SearchIcon, TextField, Tooltip } from "../../ui";
import { oneLine } from "../model/text";
import styles from "./detail.module.css";
import { findAttributes, groupAttributes, type KeyValue, plainValue, valueText } from "./span";

/** From so many on one searches rather than reads. */
const MANY = 8;

/** Longer values are folded. */
const LONG = 160;

export function Attributes({ attributes }: { attributes: readonly KeyValue[] }) {
	const [query, setQuery] = useState("");
	const found = useMemo(() => findAttributes(attributes, query), [attributes, query]);
	const groups = useMemo(() => groupAttributes(found), [found]);
	return (
		<>
			{attributes.length >= MANY && (
				<TextField
					label="Search attributes"
					hideLabel
					placeholder="Key or value"
					value={query}
					onChange={setQuery}
					icon={<SearchIcon size={14} />}
				/>
			)}
			{groups.map(({ prefix, attributes }) => (
				<dl key={prefix} className={styles.attributes} aria-label={prefix || "Other"}>
					{attributes.map((attribute) => (
						<AttributeLine key={attribute.key} attribute={attribute} />
					))}
				</dl>
			))}
			{attributes.length === 0 && <p className={styles.quiet}>None.</p>}
			{attributes.length > 0 && found.length === 0 && (
				<p className={styles.quiet}>No attribute has these words.</p>
			)}
		</>
	);
}

function AttributeLine({ attribute: { key, value } }: { attribute: KeyValue }) {
	const text = useMemo(() => valueText(value), [value]);
	const long = text.length > LONG || text.includes("\n");
	const plain = plainValue(value);
	const asked = typeof plain === "object" || long ? null : writtenValue(String(plain));
	return (
		<div className={styles.attribute} data-long={long || undefined}>
			<dt title={oneLine(key, 1000)}>
				<bdi>
					<Key text={oneLine(key)} />
				</bdi>
			</dt>
			<dd>
				{long ? (
					<Fold text={text} label={oneLine(key, 80)} lines={8} />
				) : (
					<>
						<span className={styles.value} data-type={typeof plain}>
							<bdi>{text === "" ? "(empty)" : text}</bdi>
						</span>
						<span className={styles.actions}>
							<CopyButton text={text} label={`Copy ${oneLine(key, 80)}`} size="small" />
							{asked !== null && <SpansLike field={key} value={asked} />}
						</span>
					</>
				)}
			</dd>
		</div>
	);
}

/** Breaks lines after dots, if it must. */
function Key({ text }: { text: string }) {
	return text.split(/(?<=\.)/).map((part, at) => (
		// biome-ignore lint/suspicious/noArrayIndexKey: parts of one text stay in their order.
		<Fragment key={at}>
			{at > 0 && <wbr />}
			{part}
		</Fragment>
	));
}

function SpansLike({ field, value }: { field: string; value: string }) {
	const label = `Spans with this ${oneLine(field, 80)}`;
	return (
		<Tooltip label={label}>
			<Link
				to="/explore"
				search={{ q: `spans where ${writtenField(field)}:${value}` }}
				className={styles.iconLink}
				aria-label={label}
			>
				<ExploreIcon size={14} />
			</Link>
		</Tooltip>
	);
}
