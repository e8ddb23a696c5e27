/** A trace: its waterfall, and the details of the span that is looked at. */
import { getRouteApi, useRouter } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";
import { ApiErrorNote } from "../api/ApiErrorNote";
import { SpanPanel } from "./detail/SpanPanel";
import { TraceHeader } from "./header/TraceHeader";
import { NoTrace } from "./NoTrace";
import styles from "./page.module.css";
import { searchOf, type TraceSearch, viewOf } from "./search";
import { useBuildOfTrace } from "./useBuildOfTrace";
import { useTrace } from "./useTrace";
import { Waterfall, type WaterfallView } from "./view/Waterfall";
import { WaterfallLoading } from "./view/WaterfallLoading";

const route = getRouteApi("/traces/$traceId");

export function Page() {
	const { traceId } = route.useParams();
	const { span = null } = route.useSearch();
	const build = useBuildOfTrace(traceId);
	const live = build?.status === "active";
	const { model, isLoading, isUnknown, error, reload } = useTrace(traceId, { live });
	const { view, onView, onSelect, linkTo } = useAddress(traceId);
	return (
		<div className={styles.page}>
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

/** What of the page is in its address. Looking around leaves no trail of steps to go back through. */
function useAddress(traceId: string) {
	const router = useRouter();
	const navigate = route.useNavigate();
	const { q, service, op, errors } = route.useSearch();
	const view = useMemo(() => viewOf({ q, service, op, errors }), [q, service, op, errors]);
	const change = useCallback(
		(search: (before: TraceSearch) => TraceSearch) => void navigate({ search, replace: true }),
		[navigate],
	);
	const onView = useCallback(
		(view: WaterfallView) =>
			change(({ span }) => ({ ...(span ? { span } : {}), ...searchOf(view) })),
		[change],
	);
	const onSelect = useCallback(
		(span: string | null) => change(({ span: _, ...rest }) => (span ? { ...rest, span } : rest)),
		[change],
	);
	const linkTo = (span: string) => {
		const to = router.buildLocation({
			to: "/traces/$traceId",
			params: { traceId },
			search: { span },
		});
		return new URL(router.history.createHref(to.href), document.baseURI).href;
	};
	return { view, onView, onSelect, linkTo };
}
