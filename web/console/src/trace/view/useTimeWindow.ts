/** The stretch of time in view: everything, growing with the trace, until the reader zooms. */
import { useCallback, useMemo, useRef, useState } from "react";
import type { Stretch } from "../model/times";
import { clampWindow, isWhole, panBy, scrollTo, zoomBy, zoomTo } from "../model/window";

export interface TimeWindow {
	readonly window: Stretch;
	readonly total: number;
	readonly zoomed: boolean;
	/** Around the moment given, else around the middle; a factor below 1 zooms in. */
	zoom(factor: number, at?: number): void;
	/** By a share of what is in view. */
	pan(share: number): void;
	show(stretch: Stretch): void;
	/** Shows the stretch with air around it. */
	focus(stretch: Stretch): void;
	/** Moves, if the stretch is out of view, until it is in view. */
	scrollTo(stretch: Stretch): void;
	showAll(): void;
}

export function useTimeWindow(total: number): TimeWindow {
	const [chosen, setChosen] = useState<Stretch | null>(null);
	const window = useMemo(
		() => (chosen ? clampWindow(chosen, total) : { from: 0, to: total }),
		[chosen, total],
	);
	// Several events of a wheel come before one frame: each must start from what the one before it wanted.
	const wanted = useRef(window);
	wanted.current = window;
	const change = useCallback(
		(next: Stretch) => {
			wanted.current = next;
			setChosen(isWhole(next, total) ? null : next);
		},
		[total],
	);
	return useMemo(() => {
		const middle = ({ from, to }: Stretch) => (from + to) / 2;
		return {
			window,
			total,
			zoomed: chosen !== null,
			zoom: (factor, at = middle(wanted.current)) =>
				change(zoomBy(wanted.current, factor, at, total)),
			pan: (share) =>
				change(panBy(wanted.current, share * (wanted.current.to - wanted.current.from), total)),
			show: (stretch) => change(clampWindow(stretch, total)),
			focus: (stretch) => change(zoomTo(stretch, total)),
			scrollTo: (stretch) => change(scrollTo(wanted.current, stretch, total)),
			showAll: () => change({ from: 0, to: total }),
		};
	}, [window, total, chosen, change]);
}
