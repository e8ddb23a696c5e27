/** The way of the build's events, hop by hop, as a funnel that moves while the build runs. */
import type { BuildState } from "@hopline/react";
import { useQuery } from "@tanstack/react-query";
import { ApiErrorNote } from "../../api/ApiErrorNote";
import { hasCode } from "../../api/client";
import type { TraceModel } from "../../trace";
import { EmptyState, formatCount, formatDuration, SkeletonRows, TraceIcon } from "../../ui";
import { pathQuery } from "../queries";
import { Funnel } from "./Funnel";
import { eventStages, liveStages } from "./funnel";
import { Gaps } from "./Gaps";
import styles from "./path.module.css";
import type { EventPath } from "./types";

export interface PathPanelProps {
	state: BuildState;
	seq: number;
	/** The trace, for what browsers add to it. */
	model: TraceModel | null;
	/** Leads to an event in the log. */
	onGoTo(seq: number): void;
}

export function PathPanel({ state, seq, model, onGoTo }: PathPanelProps) {
	const { data, error, refetch } = useQuery(pathQuery(state.id, state.isActive));
	const path = data?.path;
	if (!path) {
		if (hasCode(error, "not_found")) return <Untraced state={state} />;
		if (error) {
			const title = "The path of the events could not be read";
			return (
				<div className={styles.panel}>
					<ApiErrorNote error={error} title={title} onRetry={() => void refetch()} />
				</div>
			);
		}
		return <SkeletonRows label="Reading the path of the events" />;
	}
	return (
		<section className={styles.panel} aria-label="Path of the events">
			<h2 className="visually-hidden">Path of the events</h2>
			<Verdict path={path} seq={seq} isActive={state.isActive} />
			<Funnel stages={eventStages(path)} total={path.events} caption="Each event, hop by hop" />
			<Gaps path={path} onGoTo={onGoTo} />
			<Live path={path} model={model} />
			<Notes path={path} />
		</section>
	);
}

/** How the events have fared, in a sentence. */
function Verdict({ path, seq, isActive }: { path: EventPath; seq: number; isActive: boolean }) {
	const { events, complete, underWay, failed, gapCount } = path;
	const lost = [
		underWay > 0 && `${formatCount(underWay)} under way`,
		failed > 0 && `${formatCount(failed)} stopped by an error`,
		gapCount > 0 && `${formatCount(gapCount)} with a hop missing`,
	].filter(Boolean);
	const all = complete === events && !isActive;
	return (
		<p className={styles.verdict}>
			{all ? (
				<>All {formatCount(events)} traced events went all the way.</>
			) : (
				<>
					{formatCount(complete)} of {formatCount(events)} traced events went all the way
					{lost.length > 0 ? `; ${lost.join(", ")}.` : "."}
				</>
			)}
			{seq > events && <span className={styles.aside}> {untracedWords(seq - events)}</span>}
		</p>
	);
}

/** Acknowledgements and the like are in the log, and leave no spans. */
function untracedWords(count: number): string {
	return count === 1
		? "One other leaves no spans."
		: `${formatCount(count)} others leave no spans.`;
}

function Live({ path, model }: Pick<PathPanelProps, "model"> & { path: EventPath }) {
	const stages = liveStages(path, model);
	if (stages.length === 0) return null;
	return <Funnel stages={stages} caption="On to browsers, many events at a time" />;
}

/** What must be known to read the figures. */
function Notes({ path }: { path: EventPath }) {
	const isPart = path.spans < path.total;
	if (!isPart && path.clocks.length === 0) return null;
	return (
		<ul className={styles.notes}>
			{isPart && (
				<li>
					Times are those of {formatCount(path.spans)} of {formatCount(path.total)} spans; what is
					missing is told of all.
				</li>
			)}
			{path.clocks.map(({ service, instance, offsetNanos }) => (
				<li key={instance}>
					The clock of {service} was {formatDuration(Math.abs(offsetNanos))}{" "}
					{offsetNanos < 0 ? "behind" : "ahead"}; its times are corrected.
				</li>
			))}
		</ul>
	);
}

function Untraced({ state }: { state: BuildState }) {
	if (state.isActive) {
		return (
			<EmptyState icon={<TraceIcon size={24} />} title="Waiting for the first spans">
				They come a moment after their events.
			</EmptyState>
		);
	}
	return (
		<EmptyState icon={<TraceIcon size={24} />} title="This build has no trace">
			It was not sampled, or its trace is older than traces are kept.
		</EmptyState>
	);
}
