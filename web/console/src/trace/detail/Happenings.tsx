/** What happened in a span: exceptions, attempts, other span events, errors and lines of logs, by time. */
import { Badge, Fold, formatCount, formatDuration, type Tone } from "../../ui";
import type { TraceModel } from "../model/model";
import { isErrorLevel, type OutlineRecord } from "../model/outline";
import { cutText, oneLine } from "../model/text";
import { Attributes } from "./Attributes";
import styles from "./detail.module.css";
import { attributeText, type KeyValue, type SpanEvent } from "./span";

/** What the exception's own fields say is not said again among the attributes. */
const EXCEPTION = ["exception.type", "exception.message", "exception.stacktrace"];

/** Messages beyond this are folded. */
const LONG = 400;

export function SpanEvents({ model, events }: { model: TraceModel; events: readonly SpanEvent[] }) {
	return (
		<ol className={styles.happenings}>
			{events.map((event, at) => (
				// biome-ignore lint/suspicious/noArrayIndexKey: events have no id, and their order is fixed.
				<li key={at} className={styles.happening} data-error={isException(event) || undefined}>
					<SpanEventBody event={event} at={offsetOf(model, event.timeUnixNano)} />
				</li>
			))}
		</ol>
	);
}

function SpanEventBody({ event, at }: { event: SpanEvent; at: number }) {
	const { attributes = [] } = event;
	if (!isException(event)) {
		return (
			<>
				<Head name={oneLine(event.name)} at={at} />
				{attributes.length > 0 && <Attributes attributes={attributes} />}
			</>
		);
	}
	const message = attributeText(attributes, "exception.message");
	const stack = attributeText(attributes, "exception.stacktrace");
	const rest = attributes.filter(({ key }) => !EXCEPTION.includes(key));
	return (
		<>
			<Head name={oneLine(attributeText(attributes, "exception.type") ?? "Exception")} at={at} />
			{message && <Message text={message} label="Message" />}
			{stack && <Fold text={stack} label="Stack trace" lines={10} />}
			{rest.length > 0 && <Attributes attributes={rest} />}
		</>
	);
}

/** More than these nobody reads here. */
const MOST_RECORDS = 200;

export function Records({ records }: { records: readonly OutlineRecord[] }) {
	const shown = records.slice(0, MOST_RECORDS);
	return (
		<ol className={styles.happenings}>
			{shown.map(({ id, kind, level, message, at }) => (
				<li
					key={`${kind} ${id}`}
					className={styles.happening}
					data-error={isErrorLevel(level) || undefined}
				>
					<Head name={<Badge tone={toneOf(level)}>{oneLine(level, 20) || kind}</Badge>} at={at} />
					<Message text={message} label="Message" />
				</li>
			))}
			{shown.length < records.length && (
				<li className={styles.quiet}>
					These are the first {MOST_RECORDS} of {formatCount(records.length)}.
				</li>
			)}
		</ol>
	);
}

function Head({ name, at }: { name: React.ReactNode; at: number }) {
	return (
		<div className={styles.happeningHead}>
			<strong>{name}</strong>
			<span className={styles.quiet}>{formatDuration(at)}</span>
		</div>
	);
}

function Message({ text, label }: { text: string; label: string }) {
	if (text.length > LONG || text.includes("\n"))
		return <Fold text={text} label={label} lines={6} />;
	return (
		<p className={styles.message}>
			<bdi>{cutText(text, LONG)}</bdi>
		</p>
	);
}

function isException(event: SpanEvent): boolean {
	return event.name === "exception" || hasKey(event.attributes, "exception.type");
}

function hasKey(attributes: readonly KeyValue[] | undefined, key: string): boolean {
	return attributes?.some((attribute) => attribute.key === key) ?? false;
}

function offsetOf(model: TraceModel, unixNanos: string): number {
	return /^\d+$/.test(unixNanos) ? Number(BigInt(unixNanos) - model.startNanos) : 0;
}

function toneOf(level: string): Tone {
	if (isErrorLevel(level)) return "error";
	return /warn/i.test(level) ? "warn" : "neutral";
}
