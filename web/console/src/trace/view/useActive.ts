/** The row that the keys act on. It is remembered by its span, so that it stays the same row while the trace grows. */
import { useCallback, useRef, useState } from "react";
import type { TraceModel } from "../model/model";
import { lineKey, lineOfKey, type ShownRows } from "../model/rows";

export interface Active {
	readonly line: number;
	/** The reader has been to some row; before that, the first is where the focus would come. */
	readonly isChosen: boolean;
	/** Counts how often the row was to be brought into view. */
	readonly shows: number;
	/** Without scrolling: for a row that was clicked, and so is in view. */
	set(line: number): void;
	go(line: number): void;
	/** Goes to a span's row, once that is there. */
	goToSpan(spanId: string): void;
}

export function useActive(model: TraceModel, shown: ShownRows): Active {
	const [key, setKey] = useState<string | null>(null);
	const [shows, setShows] = useState(0);
	const latest = useRef({ model, shown });
	latest.current = { model, shown };
	const set = useCallback((line: number) => {
		const { model, shown } = latest.current;
		if (line >= 0 && line < shown.count) setKey(lineKey(model, shown, line));
	}, []);
	const go = useCallback(
		(line: number) => {
			set(line);
			setShows((shows) => shows + 1);
		},
		[set],
	);
	const goToSpan = useCallback((spanId: string) => {
		setKey(spanId);
		setShows((shows) => shows + 1);
	}, []);
	const line = key === null ? -1 : lineOfKey(model, shown, key);
	const isChosen = line >= 0;
	return { line: isChosen || shown.count === 0 ? line : 0, isChosen, shows, set, go, goToSpan };
}
