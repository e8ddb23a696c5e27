/**
 * Keeps what is in view where it is when lines come or go above it: a trace that grows, a filter, a subtree that closes. The
 * line at the top of the view is remembered by its span.
 */
import type { Virtualizer } from "@tanstack/react-virtual";
import { useLayoutEffect, useRef } from "react";
import type { TraceModel } from "../model/model";
import { lineKey, lineOfKey, type ShownRows } from "../model/rows";

interface Place {
	readonly model: TraceModel;
	readonly shown: ShownRows;
	readonly rowHeight: number;
	/** The line at the top, and how much of it is scrolled out. At the very top there is nothing above to come or go. */
	readonly top: { readonly key: string; readonly hidden: number } | null;
}

export function useKeptPlace(
	model: TraceModel,
	shown: ShownRows,
	virtualizer: Virtualizer<HTMLDivElement, Element>,
	rowHeight: number,
): void {
	const before = useRef<Place | null>(null);

	// After every render, by what the virtualizer knows: to ask the page would make it lay itself out once more.
	useLayoutEffect(() => {
		const place = before.current;
		const same = place?.model === model && place.shown === shown && place.rowHeight === rowHeight;
		const line = same || !place?.top ? -1 : lineOfKey(model, shown, place.top.key);
		let offset = virtualizer.scrollOffset ?? 0;
		if (place?.top && line >= 0) {
			offset = line * rowHeight + Math.min(place.top.hidden, rowHeight);
			if (offset !== virtualizer.scrollOffset) virtualizer.scrollToOffset(offset);
		}
		before.current = { model, shown, rowHeight, top: topAt(model, shown, offset, rowHeight) };
	});
}

function topAt(model: TraceModel, shown: ShownRows, offset: number, rowHeight: number) {
	const line = Math.floor(offset / rowHeight);
	if (offset < 1 || line >= shown.count) return null;
	return { key: lineKey(model, shown, line), hidden: offset - line * rowHeight };
}
