/** When what was just drawn is on the screen. */
import { now } from "../clock.js";

/** Whether nobody looks at the page, so that nothing is painted. */
export function isHidden(): boolean {
	return document.visibilityState === "hidden";
}

/**
 * Calls back after the next paint, with its time; with none if nobody looks at the page, since then nothing is painted.
 * Gives what ends the waiting.
 */
export function afterPaint(painted: (at: number | undefined) => void): () => void {
	const listening = new AbortController();
	let frame = 0;
	let task: ReturnType<typeof setTimeout> | undefined;
	const end = () => {
		listening.abort();
		cancelAnimationFrame(frame);
		clearTimeout(task);
	};
	const finish = (at: number | undefined) => {
		end();
		painted(at);
	};
	const hide = () => isHidden() && finish(undefined);
	document.addEventListener("visibilitychange", hide, { signal: listening.signal });
	// A frame's callbacks come before its paint; the task after them comes after it.
	frame = requestAnimationFrame(() => {
		task = setTimeout(() => finish(isHidden() ? undefined : now()), 0);
	});
	return end;
}
