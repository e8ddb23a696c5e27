/** A trace: its waterfall, and the details of the span that is looked at. */
import { ApiErrorNote } from "../api/ApiErrorNote";
import { SpanPanel } from "./detail/SpanPanel";
import { TraceHeader } from "./header/TraceHeader";
import { NoTrace } from "./NoTrace";
import styles from "./page.module.css";
import { useAddress } from "./useAddress";
import { useBuildOfTrace } from "./useBuildOfTrace";
import { useTrace } from "./useTrace";
import { Waterfall } from "./view/Waterfall";
import { WaterfallLoading } from "./view/WaterfallLoading";

export function Page() {
	const { traceId, span, view, onView, onSelect, linkTo } = useAddress();
	const build = useBuildOfTrace(traceId);
	const live = build?.status === "active";
	const { model, isLoading, isUnknown, error, reload } = useTrace(traceId, { live });
	return (
		<div className={styles.page} data-fills>
			<TraceHeader traceId={traceId} model={model} build={build ?? null} live={live} />
			{isLoading && <WaterfallLoading />}
			{error && (
				<div className={styles.note}>
					<ApiErrorNote error={error} title="The trace could not be read" onRetry={reload} />
				</div>
			)}
			{isUnknown && <NoTrace traceId={traceId} build={build} onRetry={reload} />}
			{model && (
				<div className={styles.split} data-detail={span !== null || undefined}>
					<Waterfall
						key={traceId}
						model={model}
						selected={span}
						onSelect={onSelect}
						view={view}
						onView={onView}
						pageKeys
					/>
					{span !== null && (
						<SpanPanel
							model={model}
							spanId={span}
							linkTo={linkTo(span)}
							onSelect={onSelect}
							onClose={() => onSelect(null)}
						/>
					)}
				</div>
			)}
		</div>
	);
}
