/** The build's trace, beside what it did. */
import { Link } from "@tanstack/react-router";
import { memo } from "react";
import { ApiErrorNote } from "../api/ApiErrorNote";
import { Missing, type TraceState, Waterfall } from "../trace";
import { buttonClass, EmptyState, ExternalIcon, SkeletonRows, TraceIcon } from "../ui";
import styles from "./build.module.css";

export interface TraceSideProps {
	traceId: string;
	trace: TraceState;
	isActive: boolean;
	selected: string | undefined;
	onSelect(spanId: string | null): void;
	highlighted: ReadonlySet<string>;
	onHover(spanId: string | null): void;
}

/** Drawn again only when something of it has changed, however fast the build goes on. */
export const TraceSide = memo(function TraceSide(props: TraceSideProps) {
	const { traceId, trace, isActive, selected, onSelect, highlighted, onHover } = props;
	return (
		<section className={styles.trace} aria-label="Trace">
			<header className={styles.traceHead}>
				<h2>Trace</h2>
				{trace.model && <Missing model={trace.model} />}
				<Link
					className={buttonClass({ variant: "ghost", size: "small" })}
					to="/traces/$traceId"
					params={{ traceId }}
					search={selected ? { span: selected } : {}}
				>
					<ExternalIcon size={14} />
					Open
				</Link>
			</header>
			{trace.model ? (
				<Waterfall
					model={trace.model}
					selected={selected ?? null}
					onSelect={onSelect}
					highlighted={highlighted}
					onHover={onHover}
					compact
				/>
			) : (
				<NoModel trace={trace} isActive={isActive} />
			)}
		</section>
	);
});

function NoModel({ trace, isActive }: { trace: TraceState; isActive: boolean }) {
	if (trace.error) {
		return (
			<div className={styles.note}>
				<ApiErrorNote
					error={trace.error}
					title="The trace could not be read"
					onRetry={trace.reload}
				/>
			</div>
		);
	}
	if (trace.isLoading) return <SkeletonRows label="Reading the trace" />;
	return (
		<EmptyState
			icon={<TraceIcon size={24} />}
			title={isActive ? "Waiting for the first spans" : "The trace is gone"}
		>
			{isActive
				? "They come a moment after their events."
				: "It was not sampled, or it is older than traces are kept."}
		</EmptyState>
	);
}
