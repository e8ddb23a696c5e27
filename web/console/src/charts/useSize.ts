import { type RefObject, useLayoutEffect, useState } from "react";

/** An element's size in whole pixels, as it changes; nothing before it is laid out. */
export function useSize(
	element: RefObject<HTMLElement | null>,
): { width: number; height: number } | undefined {
	const [size, setSize] = useState<{ width: number; height: number }>();
	useLayoutEffect(() => {
		if (!element.current) return;
		const observer = new ResizeObserver(([entry]) => {
			if (!entry) return;
			const { width, height } = entry.contentRect;
			setSize({ width: Math.floor(width), height: Math.floor(height) });
		});
		observer.observe(element.current);
		return () => observer.disconnect();
	}, [element]);
	return size;
}
