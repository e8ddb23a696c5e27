/** Reads one span whole. */
import { keepPreviousData, queryOptions, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { get } from "../../api/client";
import type { WholeSpan } from "./span";

/** Whoever goes through rows by holding a key does not want to read each. */
const SETTLES_AFTER_MS = 90;

/** A span that has not ended may have gained attributes. */
const AGAIN_MS = 3_000;

const spanQuery = (traceId: string, spanId: string, pending: boolean) =>
	queryOptions({
		// A span that ended is another than it was while it ran.
		queryKey: ["span", traceId, spanId, pending],
		queryFn: ({ signal }) =>
			get<WholeSpan>(
				`api/traces/${encodeURIComponent(traceId)}/spans/${encodeURIComponent(spanId)}`,
				{ signal },
			),
		staleTime: pending ? 0 : Number.POSITIVE_INFINITY,
		gcTime: 60_000,
		refetchInterval: pending ? AGAIN_MS : false,
	});

export function useSpan(traceId: string, spanId: string, pending: boolean) {
	const settled = useSettled(spanId);
	const query = useQuery({
		...spanQuery(traceId, settled, pending),
		placeholderData: keepPreviousData,
	});
	const isThis = query.data?.span.spanId === spanId;
	return {
		whole: isThis ? query.data : undefined,
		error: settled === spanId && !isThis ? query.error : null,
		reload: () => void query.refetch(),
	};
}

/** The value once it has stayed the same for a moment; the first at once. */
function useSettled(value: string): string {
	const [settled, setSettled] = useState(value);
	useEffect(() => {
		const timer = setTimeout(() => setSettled(value), SETTLES_AFTER_MS);
		return () => clearTimeout(timer);
	}, [value]);
	return settled;
}
