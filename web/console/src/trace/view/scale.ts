/** From times to pixels: where bars stand in the stretch of time that is in view, and where their labels find room. */
import type { Stretch } from "../model/times";

export interface Scale extends Stretch {
	/** Pixels from `from` to `to`. */
	readonly width: number;
}

/** Bars are cut this far outside of the view: deep in a zoom they would be millions of pixels long. */
const OUTSIDE = 8;

/** What is shorter than this could not be seen. */
export const LEAST_WIDTH = 2;

export function xOf(scale: Scale, at: number): number {
	return ((at - scale.from) / (scale.to - scale.from)) * scale.width;
}

export function timeAt(scale: Scale, x: number): number {
	return scale.from + (x / scale.width) * (scale.to - scale.from);
}

export interface Box {
	readonly x: number;
	readonly width: number;
	/** It lies wholly before (-1) or after (1) what is in view. */
	readonly beyond: -1 | 0 | 1;
}

export function boxOf(scale: Scale, from: number, to: number): Box {
	const left = Math.max(xOf(scale, from), -OUTSIDE);
	const right = Math.min(xOf(scale, to), scale.width + OUTSIDE);
	if (right < 0 && left <= 0) return { x: 0, width: 0, beyond: -1 };
	if (left > scale.width) return { x: scale.width, width: 0, beyond: 1 };
	return { x: left, width: Math.max(right - left, LEAST_WIDTH), beyond: 0 };
}

export type LabelSide = "after" | "before" | "within";

/** Where a label of so many characters has room: after the bar if it can, else before it, else in it. */
export function labelSide(box: Box, width: number, characters: number): LabelSide {
	const needed = characters * 7 + 10;
	if (box.x + box.width + needed <= width) return "after";
	return box.x >= needed ? "before" : "within";
}

export interface MergedBox {
	x: number;
	width: number;
}

/** Stretches in view as pixels, those that touch or nearly touch drawn as one, and those too narrow left out. */
export function mergeBoxes(
	scale: Scale,
	stretches: Iterable<Stretch>,
	{ least = LEAST_WIDTH, apart = 1 } = {},
): MergedBox[] {
	const boxes: MergedBox[] = [];
	let last: MergedBox | undefined;
	for (const { from, to } of stretches) {
		const box = boxOf(scale, from, to);
		if (box.beyond) continue;
		if (last && box.x <= last.x + last.width + apart) {
			last.width = Math.max(last.width, box.x + box.width - last.x);
			continue;
		}
		last = { x: box.x, width: box.width };
		boxes.push(last);
	}
	return boxes.filter((box) => box.width >= least);
}

/** Boxes as one path of SVG, so that a row with hundreds of them is one element. */
export function boxesPath(boxes: readonly MergedBox[], height: number): string {
	return boxes
		.map(({ x, width }) => `M${x.toFixed(1)} 0h${width.toFixed(1)}v${height}h-${width.toFixed(1)}z`)
		.join("");
}
