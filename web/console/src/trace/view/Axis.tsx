/** The time axis above the bars; dragging along it zooms into that stretch. */
import { type PointerEvent, useState } from "react";
import { formatDuration } from "../../ui/format";
import { ticks } from "../model/axis";
import type { Stretch } from "../model/times";
import styles from "./axis.module.css";
import { boxOf, type Scale, timeAt, xOf } from "./scale";

export interface AxisProps {
	scale: Scale;
	/** Where the trace has come to, while it grows. */
	now: number | null;
	onShow(stretch: Stretch): void;
	onShowAll(): void;
}

/** A mark nearer to the end has no label. */
const LABEL_ROOM = 44;

/** Shorter drags are clicks. */
const LEAST_DRAG = 4;

export function Axis({ scale, now, onShow, onShowAll }: AxisProps) {
	const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
	const xIn = (event: PointerEvent) =>
		event.clientX - event.currentTarget.getBoundingClientRect().left;
	const start = (event: PointerEvent) => {
		if (event.button !== 0) return;
		event.currentTarget.setPointerCapture(event.pointerId);
		setDrag({ from: xIn(event), to: xIn(event) });
	};
	const end = () => {
		if (!drag) return;
		setDrag(null);
		const [left, right] = [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)];
		if (right - left < LEAST_DRAG) return;
		onShow({ from: timeAt(scale, left), to: timeAt(scale, right) });
	};
	const chosen = drag && {
		from: timeAt(scale, Math.min(drag.from, drag.to)),
		to: timeAt(scale, Math.max(drag.from, drag.to)),
	};
	return (
		<div
			className={styles.axis}
			onPointerDown={start}
			onPointerMove={(event) => drag && setDrag({ ...drag, to: xIn(event) })}
			onPointerUp={end}
			onPointerCancel={() => setDrag(null)}
			onDoubleClick={onShowAll}
			aria-hidden="true"
		>
			{ticks(scale, scale.width).map((tick) => (
				<span
					key={tick.at}
					className={styles.tick}
					style={{ transform: `translateX(${xOf(scale, tick.at)}px)` }}
				>
					{xOf(scale, tick.at) + LABEL_ROOM < scale.width && tick.label}
				</span>
			))}
			{now !== null && now >= scale.from && now <= scale.to && (
				<span className={styles.now} style={{ transform: `translateX(${xOf(scale, now)}px)` }} />
			)}
			{chosen && <Chosen scale={scale} stretch={chosen} />}
		</div>
	);
}

function Chosen({ scale, stretch }: { scale: Scale; stretch: Stretch }) {
	const box = boxOf(scale, stretch.from, stretch.to);
	return (
		<span
			className={styles.chosen}
			style={{ transform: `translateX(${box.x}px)`, width: box.width }}
		>
			{formatDuration(stretch.to - stretch.from)}
		</span>
	);
}

/** The axis's marks, drawn on through the rows. */
export function Grid({ scale, now }: { scale: Scale; now: number | null }) {
	return (
		<div className={styles.grid} aria-hidden="true">
			{ticks(scale, scale.width).map((tick) => (
				<span key={tick.at} style={{ transform: `translateX(${xOf(scale, tick.at)}px)` }} />
			))}
			{now !== null && now >= scale.from && now <= scale.to && (
				<span className={styles.now} style={{ transform: `translateX(${xOf(scale, now)}px)` }} />
			)}
		</div>
	);
}
