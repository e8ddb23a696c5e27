/** A line under the pointer with the moment it is at. It follows the pointer without drawing anything else anew. */
import { useEffect, useEffectEvent, useRef } from "react";
import { formatDuration } from "../../ui";
import styles from "./axis.module.css";
import { type Scale, timeAt } from "./scale";

export function Crosshair({ scale, over }: { scale: Scale; over: HTMLElement | null }) {
	const line = useRef<HTMLDivElement>(null);
	const words = useRef<HTMLSpanElement>(null);
	const move = useEffectEvent((event: PointerEvent) => {
		if (!over || !line.current || !words.current) return;
		const right = over.getBoundingClientRect().left + over.clientWidth;
		const x = event.clientX - (right - scale.width);
		const inBars = event.pointerType === "mouse" && x >= 0 && x <= scale.width;
		line.current.hidden = !inBars;
		line.current.style.transform = `translateX(${x}px)`;
		line.current.dataset.side = x > scale.width / 2 ? "left" : "right";
		words.current.textContent = formatDuration(timeAt(scale, x));
	});
	const leave = useEffectEvent(() => {
		if (line.current) line.current.hidden = true;
	});
	// What was under the pointer is no longer.
	// biome-ignore lint/correctness/useExhaustiveDependencies: hidden whenever the scale is another.
	useEffect(() => leave(), [scale]);
	useEffect(() => {
		if (!over) return;
		const onMove = (event: PointerEvent) => move(event);
		const onLeave = () => leave();
		over.addEventListener("pointermove", onMove);
		over.addEventListener("pointerleave", onLeave);
		return () => {
			over.removeEventListener("pointermove", onMove);
			over.removeEventListener("pointerleave", onLeave);
		};
	}, [over]);
	return (
		<div className={styles.crosshairs} aria-hidden="true">
			<div ref={line} className={styles.crosshair} hidden>
				<span ref={words} />
			</div>
		</div>
	);
}
