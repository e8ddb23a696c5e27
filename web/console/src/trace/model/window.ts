/** The stretch of a trace that is in view, and how zooming and panning change it. Nanoseconds after the trace's start. */
import type { Stretch } from "./times";

/** Closer than this there is nothing to see: clocks are no finer. */
const CLOSEST = 1e3;

/** Keeps the length if it can, and the whole within 0 and `total`. */
export function clampWindow({ from, to }: Stretch, total: number): Stretch {
	const length = Math.min(Math.max(to - from, Math.min(CLOSEST, total)), total);
	const start = Math.min(Math.max(from, 0), total - length);
	return { from: start, to: start + length };
}

/** Makes the window `factor` times as long (less than 1 zooms in), leaving the moment `at` where it is on the screen. */
export function zoomBy(window: Stretch, factor: number, at: number, total: number): Stretch {
	const length = window.to - window.from;
	const next = Math.min(Math.max(length * factor, CLOSEST), total);
	const share = length > 0 ? (at - window.from) / length : 0.5;
	return clampWindow({ from: at - share * next, to: at + (1 - share) * next }, total);
}

export function panBy(window: Stretch, ns: number, total: number): Stretch {
	return clampWindow({ from: window.from + ns, to: window.to + ns }, total);
}

/** Shows a stretch with some air on both sides. */
export function zoomTo({ from, to }: Stretch, total: number): Stretch {
	const air = Math.max((to - from) * 0.08, CLOSEST / 2);
	return clampWindow({ from: from - air, to: to + air }, total);
}

/** Moves the window, without changing its length, so far that the stretch is in view. */
export function scrollTo(window: Stretch, { from, to }: Stretch, total: number): Stretch {
	const length = window.to - window.from;
	if (from < window.to && to > window.from) return window;
	return clampWindow({ from: from - length * 0.1, to: from + length * 0.9 }, total);
}

export function isWhole(window: Stretch, total: number): boolean {
	return window.from <= 0 && window.to >= total;
}

/**
 * The end of the axis while a trace grows: beyond now by up to an eighth, in steps, so that finished bars stand still and do
 * not shrink with every moment.
 */
export function growingEnd(now: number): number {
	const step = 2 ** Math.floor(Math.log2(Math.max(now, 1e6))) / 8;
	return (Math.floor(now / step) + 1) * step;
}
