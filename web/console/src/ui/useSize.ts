/** An element's inner width and height, as they change: without its scroll bar. */
import { useLayoutEffect, useState } from "react";

export interface Size {
	readonly width: number;
	readonly height: number;
}

export function useSize(element: HTMLElement | null): Size {
	const [size, setSize] = useState<Size>({ width: 0, height: 0 });
	useLayoutEffect(() => {
		if (!element) return;
		const read = () => {
			const { clientWidth: width, clientHeight: height } = element;
			setSize((known) =>
				known.width === width && known.height === height ? known : { width, height },
			);
		};
		read();
		const observer = new ResizeObserver(read);
		observer.observe(element);
		return () => observer.disconnect();
	}, [element]);
	return size;
}
