/** Stays at the end of what grows, unless the reader has scrolled away from it. */
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";

/** So near to the end is at the end, in pixels. */
const NEAR = 24;

export interface Follow {
	/** Whether the end is followed. */
	isFollowing: boolean;
	/** Goes to the end, and stays there. */
	toEnd(): void;
	/** Stays where it is, for whoever goes elsewhere. */
	stay(): void;
}

/** Follows the end of `scroller`, whose contents are `height` high; from the start if `initially`. */
export function useFollow(
	scroller: HTMLElement | null,
	height: number,
	initially: boolean,
): Follow {
	const [isFollowing, setFollowing] = useState(initially);
	const lastTop = useRef(0);

	useLayoutEffect(() => {
		if (scroller && isFollowing && height > 0) scroller.scrollTop = scroller.scrollHeight;
	}, [scroller, isFollowing, height]);

	useEffect(() => {
		if (!scroller) return;
		const onScroll = () => {
			const { scrollTop, scrollHeight, clientHeight } = scroller;
			const isUp = scrollTop < lastTop.current;
			const left = scrollHeight - scrollTop - clientHeight;
			lastTop.current = scrollTop;
			// Only the reader scrolls up. What grows leaves the end behind, and is no wish of theirs.
			if (isUp && left > 1) setFollowing(false);
			else if (!isUp && left <= NEAR) setFollowing(true);
		};
		// What grows may reach the end again before a scroll is told of; a wheel is told of at once.
		const onWheel = ({ deltaY }: WheelEvent) => {
			if (deltaY < 0 && scroller.scrollTop > 0) setFollowing(false);
		};
		const listening = new AbortController();
		const options = { passive: true, signal: listening.signal };
		scroller.addEventListener("scroll", onScroll, options);
		scroller.addEventListener("wheel", onWheel, options);
		return () => listening.abort();
	}, [scroller]);

	const toEnd = useCallback(() => setFollowing(true), []);
	const stay = useCallback(() => setFollowing(false), []);
	return { isFollowing, toEnd, stay };
}
