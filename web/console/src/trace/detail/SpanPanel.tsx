/** All that is known of one span, beside the waterfall. What the outline has is there at once, the rest when it is read. */
import { Link } from "@tanstack/react-router";
import { type ReactNode, useId, useMemo } from "react";
import { ApiErrorNote } from "../../api/ApiErrorNote";
import { writtenValue } from "../../query/language/tokens";
import {
	buttonClass,
	CloseIcon,
	CopyButton,
	cx,
	ExploreIcon,
	formatCount,
	IconButton,
	SkeletonRows,
	StatusBadge,
} from "../../ui";
import { hueClass, Swatch } from "../hues";
import { serviceHues } from "../model/colours";
import type { TraceModel } from "../model/model";
import { Flag } from "../model/outline";
import { oneLine } from "../model/text";
import { useNow } from "../view/useNow";
import { Attributes } from "./Attributes";
import styles from "./detail.module.css";
import { Records, SpanEvents } from "./Happenings";
import { attributeText, type WholeSpan } from "./span";
import { Timing } from "./Timing";
import { useSpan } from "./useSpan";
import { Links, SpanButton, SpanList } from "./Ways";

export interface SpanPanelProps {
	model: TraceModel;
	spanId: string;
	/** The address that leads to this span. */
	linkTo: string;
	onSelect(spanId: string): void;
	onClose(): void;
}

export function SpanPanel({ model, spanId, linkTo, onSelect, onClose }: SpanPanelProps) {
	const hues = useMemo(() => serviceHues(model), [model]);
	const now = useNow(model);
	const span = model.rowOf(spanId);
	const { whole, error, reload } = useSpan(
		model.traceId,
		spanId,
		span < 0 || model.has(span, Flag.pending),
	);
	if (span < 0) return <Absent onClose={onClose} />;
	const way = { model, hues, onSelect };
	const parent = model.parentOf(span);
	const seq = model.seqOf(span);
	const linked = model.linkedUnder(span);
	const records = model.recordsOf(span);
	const waited = attributeText(whole?.span.attributes, "hopline.queue.wait_ms");
	return (
		<aside className={styles.panel} aria-label="Span">
			<Head model={model} span={span} hues={hues} onClose={onClose} />
			<div className={styles.actionsBar}>
				<Link
					to="/explore"
					search={{ q: `spans where name:${writtenValue(whole?.span.name ?? model.nameOf(span))}` }}
					className={buttonClass({ size: "small" })}
				>
					<ExploreIcon size={14} />
					Show in Explore
				</Link>
				<CopyButton
					text={() => (whole ? JSON.stringify(whole, null, 2) : Promise.reject())}
					label="Copy as JSON"
					size="small"
					showLabel
				/>
				<CopyButton text={linkTo} label="Copy link" size="small" showLabel />
			</div>
			<Notes model={model} span={span} whole={whole} />
			<Section title="Time">
				<Timing
					model={model}
					span={span}
					now={now}
					waitedMs={waited === undefined ? undefined : Number(waited)}
				/>
			</Section>
			{error && (
				<div className={styles.section}>
					<ApiErrorNote error={error} title="The span could not be read" onRetry={reload} />
				</div>
			)}
			<Whole {...way} whole={whole} waiting={!error} records={records.length > 0}>
				{records.length > 0 && (
					<Section title="Errors and logs" count={records.length}>
						<Records records={records} />
					</Section>
				)}
			</Whole>
			{parent >= 0 && (
				<Section title="Parent">
					<SpanButton {...way} span={parent} />
				</Section>
			)}
			{linked.length > 0 && (
				<Section title="Done together with others" count={linked.length}>
					<SpanList {...way} spans={linked} />
				</Section>
			)}
			{seq > 0 && (
				<Section title={`Way of event ${formatCount(seq)}`}>
					<SpanList {...way} spans={model.rowsOfSeq(seq)} current={span} />
				</Section>
			)}
			<p className={styles.foot}>
				Span <code>{oneLine(spanId, 40)}</code>
				<CopyButton text={spanId} label="Copy the span's id" size="small" />
			</p>
		</aside>
	);
}

/** What only the span itself tells. */
function Whole(props: {
	model: TraceModel;
	hues: Uint8Array;
	onSelect(spanId: string): void;
	whole: WholeSpan | undefined;
	waiting: boolean;
	records: boolean;
	children: ReactNode;
}) {
	const { whole, waiting, children, model } = props;
	if (!whole) {
		return (
			<>
				{children}
				{waiting && (
					<div className={styles.section}>
						<SkeletonRows rows={6} label="Reading the span" />
					</div>
				)}
			</>
		);
	}
	const { attributes = [], events = [], links = [] } = whole.span;
	return (
		<>
			{events.length > 0 && (
				<Section title="What happened" count={events.length}>
					<SpanEvents model={model} events={events} />
				</Section>
			)}
			{children}
			<Section title="Attributes" count={attributes.length}>
				<Attributes key={whole.span.spanId} attributes={attributes} />
			</Section>
			{links.length > 0 && (
				<Section title="Links" count={links.length}>
					<Links {...props} links={links} />
				</Section>
			)}
			<details className={styles.section}>
				<summary className={styles.sectionTitle}>Who made it</summary>
				<Attributes attributes={madeBy(whole)} />
			</details>
		</>
	);
}

function madeBy({ resource, scope }: WholeSpan) {
	const of = (key: string, text: string | undefined) =>
		text ? [{ key, value: { stringValue: text } }] : [];
	return [
		...(resource.attributes ?? []),
		...of("otel.scope.name", scope?.name),
		...of("otel.scope.version", scope?.version),
	];
}

function Head(props: { model: TraceModel; span: number; hues: Uint8Array; onClose(): void }) {
	const { model, span, hues, onClose } = props;
	const status = model.isError(span) ? "error" : model.has(span, Flag.pending) ? "running" : "ok";
	return (
		<header className={cx(styles.head, hueClass(hues[model.service[span] ?? 0]))}>
			<div className={styles.headWords}>
				<h2 className={styles.title} title={oneLine(model.nameOf(span), 1000)}>
					<bdi>{oneLine(model.nameOf(span))}</bdi>
				</h2>
				<p className={styles.meta}>
					<StatusBadge status={status} />
					<span>
						<Swatch /> {oneLine(model.serviceOf(span), 60) || "no service"}
					</span>
					{model.opOf(span) && <span>{oneLine(model.opOf(span), 60)}</span>}
					<span>{oneLine(model.kindOf(span), 20)}</span>
				</p>
			</div>
			<IconButton label="Close" icon={<CloseIcon />} onClick={onClose} />
		</header>
	);
}

/** What is odd about the span, in sentences. */
function Notes(props: { model: TraceModel; span: number; whole: WholeSpan | undefined }) {
	const { model, span, whole } = props;
	const failure =
		whole?.span.status?.message ?? attributeText(whole?.span.attributes, "error.type");
	const notes = [
		model.has(span, Flag.orphan) &&
			"Its parent is not in this trace: it was not sent, or is not here yet.",
		model.tree.broken[span] === 1 && "Its parents run in a circle. It is shown as a root.",
		model.has(span, Flag.pending) &&
			model.now === null &&
			"It was never seen to end. It is drawn as far as it is known to have run.",
	].filter((note) => note !== false);
	return (
		<>
			{model.isError(span) && failure && (
				<p className={styles.failure} role="note">
					<bdi>{oneLine(failure, 600)}</bdi>
				</p>
			)}
			{notes.map((note) => (
				<p key={note} className={styles.note}>
					{note}
				</p>
			))}
		</>
	);
}

function Section(props: { title: string; count?: number; children: ReactNode }) {
	const id = useId();
	return (
		<section className={styles.section} aria-labelledby={id}>
			<h3 id={id} className={styles.sectionTitle}>
				{props.title}
				{props.count !== undefined && (
					<span className={styles.quiet}> {formatCount(props.count)}</span>
				)}
			</h3>
			{props.children}
		</section>
	);
}

function Absent({ onClose }: { onClose(): void }) {
	return (
		<aside className={styles.panel} aria-label="Span">
			<header className={styles.head}>
				<div className={styles.headWords}>
					<h2 className={styles.title}>This span is not here</h2>
				</div>
				<IconButton label="Close" icon={<CloseIcon />} onClick={onClose} />
			</header>
			<p className={styles.note}>The trace has no span of this id, or it is not here yet.</p>
		</aside>
	);
}
