/**
 * Zooming and panning by wheel and fingers, over the bars: Ctrl and the wheel (which is also what a trackpad's pinch comes
 * as), Shift or a sideways wheel, and two fingers. Everything else scrolls as ever.
 */
import { useEffect, useRef } from "react";
import { type Scale, timeAt } from "./scale";
import type { TimeWindow } from "./useTimeWindow";

/** How much one pixel of the wheel zooms. */
const ZOOM_PER_PIXEL = 0.0025;

/** Wheels that count lines or pages instead of pixels. */
const PIXELS_OF_MODE = [1, 16, 400];

export function useGestures(element: HTMLElement | null, scale: Scale, time: TimeWindow): void {
	const latest = useRef({ scale, time });
	latest.current = { scale, time };
	useEffect(() => {
		if (!element) return;
		const endWheel = listenToWheel(element, latest);
		const endFingers = listenToFingers(element, latest);
		return () => {
			endWheel();
			endFingers();
		};
	}, [element]);
}

interface Latest {
	readonly current: { readonly scale: Scale; readonly time: TimeWindow };
}

/** Where on the axis a point of the screen is: bars end at the right of the element. */
function momentAt(element: HTMLElement, clientX: number, { scale }: Latest["current"]): number {
	const right = element.getBoundingClientRect().left + element.clientWidth;
	const x = Math.min(Math.max(clientX - (right - scale.width), 0), scale.width);
	return timeAt(scale, x);
}

function listenToWheel(element: HTMLElement, latest: Latest): () => void {
	const onWheel = (event: WheelEvent) => {
		const { scale, time } = latest.current;
		const pixels = PIXELS_OF_MODE[event.deltaMode] ?? 1;
		if (event.ctrlKey || event.metaKey) {
			event.preventDefault();
			const strength = Math.min(Math.max(event.deltaY * pixels, -120), 120);
			time.zoom(
				Math.exp(strength * ZOOM_PER_PIXEL),
				momentAt(element, event.clientX, latest.current),
			);
			return;
		}
		const sideways = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX;
		if (!time.zoomed || Math.abs(sideways) <= (event.shiftKey ? 0 : Math.abs(event.deltaY))) return;
		event.preventDefault();
		time.pan((sideways * pixels) / Math.max(scale.width, 1));
	};
	// Not passive: a page that the browser zooms at the same time would be of no use.
	element.addEventListener("wheel", onWheel, { passive: false });
	return () => element.removeEventListener("wheel", onWheel);
}

function listenToFingers(element: HTMLElement, latest: Latest): () => void {
	let before: { middle: number; apart: number } | null = null;
	const read = (touches: TouchList) => {
		const [a, b] = [touches[0], touches[1]];
		if (!a || !b) return null;
		return {
			middle: (a.clientX + b.clientX) / 2,
			apart: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY),
		};
	};
	const onTouch = (event: TouchEvent) => {
		const now = read(event.touches);
		if (now && before && event.type === "touchmove") {
			event.preventDefault();
			const { scale, time } = latest.current;
			time.zoom(
				before.apart / Math.max(now.apart, 1),
				momentAt(element, now.middle, latest.current),
			);
			if (time.zoomed) time.pan((before.middle - now.middle) / Math.max(scale.width, 1));
		}
		before = now;
	};
	const types = ["touchstart", "touchmove", "touchend", "touchcancel"] as const;
	for (const type of types) element.addEventListener(type, onTouch, { passive: false });
	return () => {
		for (const type of types) element.removeEventListener(type, onTouch);
	};
}
