/**
 * The picture of a whole trace on a few dozen lines of pixels: spans from the top in the order of the open tree, each where
 * it is in time, errors over all.
 *
 * Each pixel is painted once, by the last span that claims it: painted ones are skipped in one step, so that 100,000 spans
 * that all last as long as the trace cost no more than short ones.
 */
import type { Kept } from "../model/filter";
import type { TraceModel } from "../model/model";

export type Colour = readonly [red: number, green: number, blue: number];

export interface Palette {
	/** By hue, from 1; at 0 the colour of errors. */
	readonly hues: readonly Colour[];
}

export interface Picture {
	readonly width: number;
	readonly height: number;
	/** RGBA. */
	readonly pixels: Uint8ClampedArray<ArrayBuffer>;
}

/** Spans that a filter leaves out are drawn as faintly as this. */
const FAINT = 40;

export function paintMinimap(
	model: TraceModel,
	{ width, height, total }: { width: number; height: number; total: number },
	hueOfService: Uint8Array,
	{ hues }: Palette,
	kept: Kept | null,
): Picture {
	const pixels = new Uint8ClampedArray(width * height * 4);
	if (model.count === 0 || width === 0 || height === 0 || total <= 0)
		return { width, height, pixels };
	const lines = Math.min(model.count, Math.floor(height / 2));
	const thick = Math.max(1, Math.min(6, Math.floor(height / lines)));
	// For each pixel of a line the next one to its right that is free; one more at the end, which always is.
	const stride = width + 1;
	const free = Int32Array.from({ length: lines * stride }, (_, at) => at);
	const nextFree = (from: number): number => {
		let at = from;
		while (free[at] !== at) {
			free[at] = free[free[at] as number] as number;
			at = free[at] as number;
		}
		return at;
	};
	const paint = (row: number, hue: number, alpha: number) => {
		const line = Math.floor(((model.tree.place[row] as number) * lines) / model.count);
		const left = Math.floor((model.startOf(row) / total) * width);
		const right = Math.min(
			width,
			Math.max(left + 1, Math.ceil((model.endOf(row) / total) * width)),
		);
		const top = Math.floor((line * height) / lines);
		const [red, green, blue] = hues[hue] ?? [128, 128, 128];
		const end = line * stride + right;
		for (let at = nextFree(line * stride + left); at < end; at = nextFree(at)) {
			free[at] = at + 1;
			for (let y = top; y < top + thick; y++) {
				const pixel = (y * width + at - line * stride) * 4;
				pixels[pixel] = red;
				pixels[pixel + 1] = green;
				pixels[pixel + 2] = blue;
				pixels[pixel + 3] = alpha;
			}
		}
	};
	const matches = (row: number) => kept === null || kept.matches[row] === 1;
	const { order } = model.tree;
	if (model.errorCount > 0) {
		for (const row of order) if (model.isError(row) && matches(row)) paint(row, 0, 255);
	}
	const byHue = (row: number) => hueOfService[model.service[row] as number] ?? 1;
	for (let at = order.length - 1; at >= 0; at--) {
		const row = order[at] as number;
		if (matches(row)) paint(row, byHue(row), 255);
	}
	if (kept) {
		for (let at = order.length - 1; at >= 0; at--) {
			const row = order[at] as number;
			paint(row, byHue(row), FAINT);
		}
	}
	return { width, height, pixels };
}
