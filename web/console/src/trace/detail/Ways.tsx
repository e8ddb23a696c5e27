/** Where a span leads: to its parent, the hops of its event, what was done together with others, and what it is linked to. */
import { Link } from "@tanstack/react-router";
import { cx, formatDuration } from "../../ui";
import { hueClass, Swatch } from "../hues";
import type { TraceModel } from "../model/model";
import { oneLine } from "../model/text";
import styles from "./detail.module.css";
import type { SpanLink } from "./span";

export interface WayProps {
	model: TraceModel;
	hues: Uint8Array;
	onSelect(spanId: string): void;
}

/** A span of this trace to go to. */
export function SpanButton({
	model,
	hues,
	onSelect,
	span,
	note,
	current,
}: WayProps & { span: number; note?: string; current?: boolean }) {
	return (
		<button
			type="button"
			className={cx(styles.way, hueClass(hues[model.service[span] ?? 0]))}
			data-error={model.isError(span) || undefined}
			aria-current={current || undefined}
			onClick={() => onSelect(model.idOf(span))}
		>
			<Swatch />
			<span className={styles.wayName}>
				<bdi>{oneLine(model.nameOf(span))}</bdi>
			</span>
			{note && <span className={styles.quiet}>{note}</span>}
		</button>
	);
}

/** Several spans to go to, by start, each with how long it took. */
export function SpanList(props: WayProps & { spans: ArrayLike<number>; current?: number }) {
	const { spans, current, ...way } = props;
	const { model } = way;
	const shown = Array.from(spans).slice(0, MOST_SPANS);
	return (
		<ol className={styles.ways}>
			{shown.map((span) => (
				<li key={span}>
					<SpanButton
						{...way}
						span={span}
						current={span === current}
						note={formatDuration(model.endOf(span) - model.startOf(span))}
					/>
				</li>
			))}
			{spans.length > MOST_SPANS && (
				<li className={styles.quiet}>and {spans.length - MOST_SPANS} more</li>
			)}
		</ol>
	);
}

const MOST_SPANS = 20;
const MOST_LINKS = 50;

export function Links({ links, ...props }: WayProps & { links: readonly SpanLink[] }) {
	const { model } = props;
	return (
		<ul className={styles.ways}>
			{links.slice(0, MOST_LINKS).map((link, at) => {
				const span =
					link.traceId === model.traceId || !link.traceId ? model.rowOf(link.spanId) : -1;
				return (
					// biome-ignore lint/suspicious/noArrayIndexKey: the same span may be linked twice, and the order is fixed.
					<li key={at}>
						{span >= 0 ? <SpanButton {...props} span={span} /> : <OtherTrace link={link} />}
					</li>
				);
			})}
			{links.length > MOST_LINKS && (
				<li className={styles.quiet}>and {links.length - MOST_LINKS} more</li>
			)}
		</ul>
	);
}

function OtherTrace({ link }: { link: SpanLink }) {
	return (
		<Link
			className={styles.way}
			to="/traces/$traceId"
			params={{ traceId: link.traceId }}
			search={{ span: link.spanId }}
		>
			<span className={styles.wayName}>Trace {oneLine(link.traceId, 8)}</span>
			<span className={styles.quiet}>span {oneLine(link.spanId, 8)}</span>
		</Link>
	);
}
