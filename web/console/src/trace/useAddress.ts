/** What of the page is in its address. Looking around leaves no trail of steps to go back through. */
import { getRouteApi, useRouter } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useState } from "react";
import { searchOf, type TraceSearch, viewOf } from "./search";
import type { WaterfallView } from "./view/Waterfall";

const route = getRouteApi("/traces/$traceId");

/** An address that changed with every letter would be late for the next one. */
const SETTLES_AFTER_MS = 200;

export function useAddress() {
	const router = useRouter();
	const navigate = route.useNavigate();
	const { traceId } = route.useParams();
	const { span = null, q, service, op, errors } = route.useSearch();
	const change = useCallback(
		(search: (before: TraceSearch) => TraceSearch) => void navigate({ search, replace: true }),
		[navigate],
	);

	const inAddress = useMemo(() => viewOf({ q, service, op, errors }), [q, service, op, errors]);
	const [wanted, setWanted] = useState<WaterfallView | null>(null);
	useEffect(() => {
		if (!wanted) return;
		if (sameView(wanted, inAddress)) return setWanted(null);
		const timer = setTimeout(
			() => change(({ span }) => ({ ...(span ? { span } : {}), ...searchOf(wanted) })),
			SETTLES_AFTER_MS,
		);
		return () => clearTimeout(timer);
	}, [wanted, inAddress, change]);

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
		return new URL(to.publicHref, document.baseURI).href;
	};
	return { traceId, span, view: wanted ?? inAddress, onView: setWanted, onSelect, linkTo };
}

function sameView(a: WaterfallView, b: WaterfallView): boolean {
	return JSON.stringify(searchOf(a)) === JSON.stringify(searchOf(b));
}
