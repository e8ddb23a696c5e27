/** What the reader points at on one side of the page, and what is lit up for it on the other. */
import type { BuildState } from "@hopline/react";
import { useCallback, useMemo, useRef, useState } from "react";
import type { TraceModel } from "../trace";
import { Links } from "./links";

type Pointed =
	| { readonly call: string }
	| { readonly seq: number }
	| { readonly span: string }
	| undefined;

const NONE: ReadonlySet<string> = new Set();

export interface Pointing {
	/** None without a trace. */
	links: Links | undefined;
	/** The call of the span that is pointed at. */
	litCall: string | undefined;
	/** The spans of what is pointed at. */
	litSpans: ReadonlySet<string>;
	onCall(callId: string | undefined): void;
	onEvent(seq: number | undefined): void;
	onSpan(spanId: string | null): void;
}

export function usePointing(model: TraceModel | null, state: BuildState): Pointing {
	const latest = useRef(state);
	latest.current = state;
	const links = useMemo(
		() => (model ? new Links(model, () => callsOf(latest.current)) : undefined),
		[model],
	);
	const [pointed, setPointed] = useState<Pointed>();
	const litSpans = useMemo(() => {
		if (!links || !pointed) return NONE;
		if ("call" in pointed) return links.spansOfCall(pointed.call);
		return "seq" in pointed ? links.spansOfEvent(pointed.seq) : NONE;
	}, [links, pointed]);
	const span = pointed && "span" in pointed ? pointed.span : null;
	return {
		links,
		litCall: span === null ? undefined : links?.callOf(span),
		litSpans,
		onCall: useCallback((call) => setPointed(call === undefined ? undefined : { call }), []),
		onEvent: useCallback((seq) => setPointed(seq === undefined ? undefined : { seq }), []),
		onSpan: useCallback((span) => setPointed(span === null ? undefined : { span }), []),
	};
}

function callsOf({ toolsByTodo }: BuildState): string[] {
	return Object.values(toolsByTodo).flatMap((calls) => calls.map((call) => call.id));
}
