/** The whole trace at a glance, with the stretch in view marked: drag beside it to choose another, drag it to pan. */
import { type PointerEvent, useEffect, useRef, useState } from "react";
import { formatDuration } from "../../ui/format";
import { useSize } from "../../ui/useSize";
import type { Kept } from "../model/filter";
import type { TraceModel } from "../model/model";
import type { Stretch } from "../model/times";
import { clampWindow } from "../model/window";
import { paintMinimap } from "./minimap";
import styles from "./minimap.module.css";
import { readPalette, useThemeVersion } from "./palette";
import { timeAt, xOf } from "./scale";
import type { TimeWindow } from "./useTimeWindow";

export interface MinimapProps {
	model: TraceModel;
	kept: Kept | null;
	hues: Uint8Array;
	time: TimeWindow;
}

type Drag =
	| { kind: "choose"; from: number; to: number }
	| { kind: "pan" | "left" | "right"; grip: number; was: Stretch };

const EDGE = 6;
const LEAST_DRAG = 4;

export function Minimap({ model, kept, hues, time }: MinimapProps) {
	const [box, setBox] = useState<HTMLDivElement | null>(null);
	const canvas = useRef<HTMLCanvasElement>(null);
	const { width, height } = useSize(box);
	const theme = useThemeVersion();
	const [drag, setDrag] = useState<Drag | null>(null);
	const { window, total, zoomed } = time;

	// biome-ignore lint/correctness/useExhaustiveDependencies: another theme has other colours.
	useEffect(() => {
		const context = canvas.current?.getContext("2d");
		if (!canvas.current || !context || width === 0) return;
		const ratio = globalThis.devicePixelRatio || 1;
		const size = { width: Math.round(width * ratio), height: Math.round(height * ratio), total };
		const picture = paintMinimap(model, size, hues, readPalette(canvas.current, context), kept);
		canvas.current.width = picture.width;
		canvas.current.height = picture.height;
		context.putImageData(new ImageData(picture.pixels, picture.width, picture.height), 0, 0);
	}, [model, kept, hues, total, width, height, theme]);

	const scale = { from: 0, to: total, width };
	const left = xOf(scale, window.from);
	const right = xOf(scale, window.to);
	const xIn = (event: PointerEvent) => event.clientX - (box?.getBoundingClientRect().left ?? 0);

	const start = (event: PointerEvent) => {
		if (event.button !== 0) return;
		box?.setPointerCapture(event.pointerId);
		const x = xIn(event);
		const grip = timeAt(scale, x);
		if (zoomed && Math.abs(x - left) <= EDGE) setDrag({ kind: "left", grip, was: window });
		else if (zoomed && Math.abs(x - right) <= EDGE) setDrag({ kind: "right", grip, was: window });
		else if (zoomed && x > left && x < right) setDrag({ kind: "pan", grip, was: window });
		else setDrag({ kind: "choose", from: x, to: x });
	};
	const move = (event: PointerEvent) => {
		if (!drag) return;
		const x = xIn(event);
		const at = timeAt(scale, x);
		if (drag.kind === "choose") setDrag({ ...drag, to: x });
		else time.show(moved(drag, at, total));
	};
	const end = () => {
		setDrag(null);
		if (drag?.kind !== "choose" || Math.abs(drag.to - drag.from) < LEAST_DRAG) return;
		const [from, to] = [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)];
		time.show({ from: timeAt(scale, from), to: timeAt(scale, to) });
	};
	const chosen =
		drag?.kind === "choose" && Math.abs(drag.to - drag.from) >= LEAST_DRAG ? drag : null;
	const [shownLeft, shownRight] = chosen
		? [Math.min(chosen.from, chosen.to), Math.max(chosen.from, chosen.to)]
		: [left, right];
	return (
		<div
			ref={setBox}
			className={styles.minimap}
			data-zoomed={zoomed || chosen ? "" : undefined}
			onPointerDown={start}
			onPointerMove={move}
			onPointerUp={end}
			onPointerCancel={() => setDrag(null)}
			onDoubleClick={time.showAll}
			role="img"
			aria-label={`The whole trace, ${formatDuration(total)}; in view from ${formatDuration(window.from)} to ${formatDuration(window.to)}`}
		>
			<canvas ref={canvas} className={styles.canvas} />
			<span className={styles.outside} style={{ width: Math.max(0, shownLeft) }} />
			<span
				className={styles.window}
				style={{
					transform: `translateX(${shownLeft}px)`,
					width: Math.max(2, shownRight - shownLeft),
				}}
			/>
			<span
				className={styles.outside}
				style={{ transform: `translateX(${shownRight}px)`, width: Math.max(0, width - shownRight) }}
			/>
		</div>
	);
}

function moved(drag: Exclude<Drag, { kind: "choose" }>, at: number, total: number): Stretch {
	const { was, grip, kind } = drag;
	if (kind === "pan") {
		return clampWindow({ from: was.from + at - grip, to: was.to + at - grip }, total);
	}
	const other = kind === "left" ? was.to : was.from;
	return { from: Math.min(at, other), to: Math.max(at, other) };
}
