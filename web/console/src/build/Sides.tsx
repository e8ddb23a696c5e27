/** What a build did, its path and its log, beside its trace; on narrow screens one of them at a time. */
import type { BuildState } from "@hopline/react";
import { getRouteApi } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";
import { type TraceState, useTrace } from "../trace";
import { EmptyState, TabPanel, Tabs, TraceIcon } from "../ui";
import { Activity } from "./activity/Activity";
import styles from "./build.module.css";
import { EventsPanel } from "./events/EventsPanel";
import { PathPanel } from "./path/PathPanel";
import type { BuildSearch, Tab } from "./search";
import { TraceSide } from "./TraceSide";
import { useIsWide } from "./useIsWide";
import { usePointing } from "./usePointing";

const route = getRouteApi("/builds/$sessionId");

const NARROW_TABS = [
	{ value: "todos", label: "Todos" },
	{ value: "trace", label: "Trace" },
	{ value: "path", label: "Path" },
	{ value: "events", label: "Events" },
] as const;
const WIDE_TABS = NARROW_TABS.filter(({ value }) => value !== "trace");

interface SidesProps {
	state: BuildState;
	seq: number;
}

/** Of a build that has a trace. */
export function Traced({ traceId, ...props }: SidesProps & { traceId: string }) {
	const { model, isLoading, isUnknown, error, reload } = useTrace(traceId, {
		live: props.state.isActive,
	});
	// biome-ignore lint/correctness/useExhaustiveDependencies: reading again is the same whoever asks for it.
	const trace = useMemo(
		() => ({ model, isLoading, isUnknown, error, reload }),
		[model, isLoading, isUnknown, error],
	);
	return <Sides {...props} traceId={traceId} trace={trace} />;
}

export function Untraced(props: SidesProps) {
	return <Sides {...props} traceId={undefined} trace={undefined} />;
}

interface AllProps extends SidesProps {
	traceId: string | undefined;
	trace: TraceState | undefined;
}

function Sides({ state, seq, traceId, trace }: AllProps) {
	const search = route.useSearch();
	const go = useGo();
	const isWide = useIsWide();
	const model = trace?.model ?? null;
	const { links, litCall, litSpans, onCall, onEvent, onSpan } = usePointing(model, state);

	const onSpanSelect = useCallback(
		(span: string | null) => {
			const tool = links?.callOf(span);
			// Where there is room for one side only, the reader stays at the trace.
			const beside = isWide ? { tab: undefined } : {};
			go({ span: span ?? undefined, ...(tool && { tool, ...beside }) });
		},
		[go, links, isWide],
	);
	const onCallSelect = useCallback((tool: string) => go({ tool }), [go]);
	const onShow = useCallback(
		(span: string | undefined) => span && go(isWide ? { span } : { span, tab: "trace" }),
		[go, isWide],
	);
	const onCallShow = useCallback((id: string) => onShow(links?.spanOfCall(id)), [onShow, links]);

	const traceSide = traceId && trace && (
		<TraceSide
			traceId={traceId}
			trace={trace}
			isActive={state.isActive}
			selected={search.span}
			onSelect={onSpanSelect}
			highlighted={litSpans}
			onHover={onSpan}
		/>
	);
	const tabs = isWide || !traceSide ? WIDE_TABS : NARROW_TABS;
	const tab = tabs.find(({ value }) => value === search.tab)?.value ?? "todos";
	return (
		<div className={styles.sides}>
			<Tabs
				className={styles.side}
				label="Views of the build"
				value={tab as Tab}
				onChange={(tab) => go({ tab: tab === "todos" ? undefined : tab })}
				items={tabs}
			>
				<TabPanel className={styles.panel} value="todos">
					<Activity
						state={state}
						selected={search.tool}
						onSelect={onCallSelect}
						lit={litCall}
						onPoint={onCall}
						isInTrace={(id) => links?.hasCall(id) ?? false}
						onShow={onCallShow}
					/>
				</TabPanel>
				<TabPanel className={styles.panel} value="trace">
					{!isWide && traceSide}
				</TabPanel>
				<TabPanel className={styles.scrolled} value="path">
					<PathPanel
						state={state}
						seq={seq}
						model={model}
						onGoTo={(seq) => go({ tab: "events", event: String(seq) })}
					/>
				</TabPanel>
				<TabPanel className={styles.panel} value="events">
					<EventsPanel
						sessionId={state.id}
						seq={seq}
						isActive={state.isActive}
						selected={search.event === undefined ? undefined : Number(search.event)}
						onSelect={(seq) => go({ event: seq === undefined ? undefined : String(seq) })}
						onPoint={onEvent}
						onShow={(seq) => {
							const span = links?.spanOfEvent(seq);
							return span === undefined ? undefined : () => onShow(span);
						}}
					/>
				</TabPanel>
			</Tabs>
			{isWide &&
				(traceSide || (
					<EmptyState icon={<TraceIcon size={24} />} title="This build has no trace">
						It was not sampled.
					</EmptyState>
				))}
		</div>
	);
}

/** Changes what is in the address; what is given as undefined leaves it. */
function useGo() {
	const navigate = route.useNavigate();
	return useCallback(
		(change: { [Key in keyof BuildSearch]: BuildSearch[Key] | undefined }) => {
			void navigate({
				search: (before) => withChange(before, change),
				replace: true,
				resetScroll: false,
			});
		},
		[navigate],
	);
}

function withChange(
	before: BuildSearch,
	change: { [Key in keyof BuildSearch]: BuildSearch[Key] | undefined },
): BuildSearch {
	const entries = Object.entries({ ...before, ...change });
	return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}
