/**
 * Keeps what is in view where it is when lines come or go above it: a trace that grows, a filter, a subtree that closes. The
 * line at the top of the view is remembered by its span.
 */
import { useEffect, useLayoutEffect, useRef } from "react";
import type { TraceModel } from "../model/model";
import { lineKey, lineOfKey, type ShownRows } from "../model/rows";

export function useKeptPlace(
	model: TraceModel,
	shown: ShownRows,
	scroller: HTMLElement | null,
	rowHeight: number,
): void {
	const place = useRef<{ key: string; offset: number } | null>(null);

	useLayoutEffect(() => {
		const kept = place.current;
		if (!scroller || !kept) return;
		const line = lineOfKey(model, shown, kept.key);
		if (line < 0) return;
		const top = line * rowHeight + kept.offset;
		if (Math.abs(scroller.scrollTop - top) > 1) scroller.scrollTop = top;
	}, [model, shown, scroller, rowHeight]);

	useEffect(() => {
		if (!scroller) return;
		const remember = () => {
			const line = Math.floor(scroller.scrollTop / rowHeight);
			// At the top there is nothing above to be kept away.
			place.current =
				scroller.scrollTop < 1 || line >= shown.count
					? null
					: { key: lineKey(model, shown, line), offset: scroller.scrollTop - line * rowHeight };
		};
		remember();
		scroller.addEventListener("scroll", remember, { passive: true });
		return () => scroller.removeEventListener("scroll", remember);
	}, [model, shown, scroller, rowHeight]);
}
