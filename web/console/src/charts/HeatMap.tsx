/**
 * A heat map on a canvas, and the selection of a region of it, by mouse and by keyboard.
 *
 * The canvas is paint. What is selected is an element over it, and where the cursor is gets said, so that the map can be
 * walked through without being seen.
 */

import { type KeyboardEvent, type PointerEvent, useEffect, useRef, useState } from "react";
import { formatCount, type Size, useSize } from "../ui";
import { type Palette, usePalette } from "./colours";
import { countIn, type Heat, ordered, type Region, strengthOf } from "./heat";
import styles from "./heat.module.css";
import { keyedRegion } from "./walk";

export type HeatMapProps = {
	heat: Heat;
	region: Region | undefined;
	/** The region as it is being drawn, or walked to. */
	onChange(region: Region | undefined): void;
	/** The region is chosen. */
	onChoose(region: Region): void;
	/** The cell that the pointer is on. */
	onPoint(region: Region | undefined): void;
	label: string;
	describedBy: string;
};

export function HeatMap(props: HeatMapProps) {
	const { heat, region, onChange, onChoose, onPoint, label, describedBy } = props;
	const canvas = useRef<HTMLCanvasElement>(null);
	const [frame, setFrame] = useState<HTMLDivElement | null>(null);
	const begun = useRef<Region>(undefined);
	const size = useSize(frame);
	const palette = usePalette();

	useEffect(() => {
		if (canvas.current && size.width > 0) paint(canvas.current, heat, palette, size);
	}, [heat, palette, size]);

	const cellAt = (event: PointerEvent): Region => {
		const { left, bottom, width, height } = event.currentTarget.getBoundingClientRect();
		const within = (share: number, count: number) =>
			Math.max(0, Math.min(count - 1, Math.floor(share * count)));
		const column = within((event.clientX - left) / width, heat.columns);
		const row = within((bottom - event.clientY) / height, heat.rows);
		return { column, row, toColumn: column, toRow: row };
	};
	const press = (event: PointerEvent) => {
		if (event.button !== 0) return;
		event.currentTarget.setPointerCapture(event.pointerId);
		begun.current = cellAt(event);
		onChange(begun.current);
	};
	const move = (event: PointerEvent) => {
		const { column, row } = cellAt(event);
		onPoint({ column, row, toColumn: column, toRow: row });
		if (begun.current) onChange({ ...begun.current, toColumn: column, toRow: row });
	};
	const release = (event: PointerEvent) => {
		if (!begun.current) return;
		const { toColumn, toRow } = cellAt(event);
		onChoose({ ...begun.current, toColumn, toRow });
		begun.current = undefined;
	};
	const cancel = () => {
		if (begun.current) onChange(undefined);
		begun.current = undefined;
	};
	const handleKey = (event: KeyboardEvent) => {
		if (event.key === "Enter" || event.key === " ") {
			if (region) onChoose(region);
		} else if (event.key === "Escape") {
			if (!region) return;
			onChange(undefined);
		} else {
			const next = keyedRegion(heat, region, event.key, event.shiftKey);
			if (!next) return;
			onChange(next);
		}
		// What keys lead to is told, wherever the pointer may rest.
		onPoint(undefined);
		event.preventDefault();
	};

	return (
		<div
			ref={setFrame}
			// Arrow keys walk through its cells: a screen reader must leave them to it.
			role="application"
			aria-roledescription="heat map"
			aria-label={label}
			aria-describedby={describedBy}
			// biome-ignore lint/a11y/noNoninteractiveTabindex: see above
			tabIndex={0}
			className={styles.map}
			onPointerDown={press}
			onPointerMove={move}
			onPointerUp={release}
			onPointerCancel={cancel}
			onPointerLeave={() => onPoint(undefined)}
			onKeyDown={handleKey}
		>
			<canvas ref={canvas} className={styles.canvas} />
			{region && <Selected heat={heat} region={region} />}
		</div>
	);
}

function Selected({ heat, region }: { heat: Heat; region: Region }) {
	const { column, row, toColumn, toRow } = ordered(region);
	const across = (columns: number) => `${(columns / heat.columns) * 100}%`;
	const up = (rows: number) => `${(rows / heat.rows) * 100}%`;
	return (
		<div
			className={styles.selected}
			style={{
				left: across(column),
				width: across(toColumn + 1 - column),
				bottom: up(row),
				height: up(toRow + 1 - row),
			}}
		>
			<span className={styles.count}>{formatCount(countIn(heat, region))}</span>
		</div>
	);
}

function paint(
	canvas: HTMLCanvasElement,
	{ columns, rows, counts, most }: Heat,
	palette: Palette,
	{ width, height }: Size,
): void {
	const scale = devicePixelRatio;
	canvas.width = Math.round(width * scale);
	canvas.height = Math.round(height * scale);
	const brush = canvas.getContext("2d");
	if (!brush) return;
	brush.fillStyle = palette.accent;
	// Edges at whole pixels: cells neither overlap nor leave seams.
	const left = (column: number) => Math.round((column / columns) * canvas.width);
	const top = (row: number) => Math.round((1 - row / rows) * canvas.height);
	counts.forEach((count, at) => {
		if (count <= 0) return;
		const [column, row] = [at % columns, Math.floor(at / columns)];
		const [x, y] = [left(column), top(row + 1)];
		brush.globalAlpha = 0.1 + 0.9 * strengthOf(count, most);
		brush.fillRect(x, y, left(column + 1) - x, top(row) - y);
	});
}
