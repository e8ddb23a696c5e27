/** A trace: its waterfall, and the details of the span that is looked at. */
import { getRouteApi } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";
import { ApiErrorNote } from "../api/ApiErrorNote";
import { PageHeader, Spinner } from "../ui";
import styles from "./page.module.css";
import { searchOf, viewOf } from "./search";
import { useTrace } from "./useTrace";
import { Waterfall, type WaterfallView } from "./view/Waterfall";

const route = getRouteApi("/traces/$traceId");

export function Page() {
	const { traceId } = route.useParams();
	const search = route.useSearch();
	const navigate = route.useNavigate();
	const { model, isLoading, error, reload } = useTrace(traceId, { live: false });
	const { q, service, op, errors } = search;
	const view = useMemo(
		() => viewOf({ q, service, op, errors } as typeof search),
		[q, service, op, errors],
	);
	const onView = useCallback(
		(view: WaterfallView) =>
			navigate({
				search: ({ span }) => ({ ...(span ? { span } : {}), ...searchOf(view) }),
				replace: true,
			}),
		[navigate],
	);
	const onSelect = useCallback(
		(span: string | null) =>
			navigate({
				search: ({ span: _, ...rest }) => (span ? { ...rest, span } : rest),
				replace: true,
			}),
		[navigate],
	);
	return (
		<div className={styles.page}>
			<PageHeader title={`Trace ${traceId.slice(0, 8)}`} />
			{isLoading && <Spinner label="Reading the trace" />}
			{error && <ApiErrorNote error={error} title="The trace could not be read" onRetry={reload} />}
			{model && (
				<Waterfall
					model={model}
					selected={search.span ?? null}
					onSelect={onSelect}
					view={view}
					onView={onView}
					pageKeys
				/>
			)}
		</div>
	);
}
