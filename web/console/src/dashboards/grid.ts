/**
 * Where panels lie: on a grid of twelve columns, none upon another, and none with room above it.
 *
 * Whatever is moved or resized comes where it was put, as far as it fits; others make way downwards, and then all move up.
 */

import type { Panel } from "./model";

export const COLUMNS = 12;

/** A panel's least and greatest size. */
const LEAST = { w: 2, h: 2 };
const HIGHEST = 40;

export type Place = Pick<Panel, "x" | "y" | "w" | "h">;

/** A place that lies on the grid. */
export function onGrid({ x, y, w, h }: Place): Place {
	const within = (value: number, least: number, most: number) =>
		Math.max(least, Math.min(most, Math.round(value)));
	const width = within(w, LEAST.w, COLUMNS);
	return {
		x: within(x, 0, COLUMNS - width),
		y: Math.max(0, Math.round(y)),
		w: width,
		h: within(h, LEAST.h, HIGHEST),
	};
}

/**
 * The panels with one of them at another place. It comes below those above it of which it covers no more than the lower half;
 * others make way. The order of the list stays.
 */
export function withPlace(panels: readonly Panel[], id: string, place: Place): Panel[] {
	const moved = panels.find((panel) => panel.id === id);
	if (!moved) return [...panels];
	const wanted = onGrid(place);
	const others = compacted(panels.filter((panel) => panel.id !== id));
	const above = others.filter(
		(other) => isBeside(other, wanted) && other.y + other.h / 2 <= wanted.y,
	);
	const y = Math.max(0, ...above.map(bottomOf));
	const settled = [{ ...moved, ...wanted, y }, ...above];
	for (const panel of inReadingOrder(others)) {
		if (!above.includes(panel)) settled.push(clearOf(settled, panel));
	}
	return inOrderOf(panels, compacted(settled));
}

/** The panels with one of them moved on by a step, or by as many as it takes for it to come to another place. */
export function nudged(panels: readonly Panel[], id: string, dx: number, dy: number): Panel[] {
	const own = panels.find((panel) => panel.id === id);
	if (!own) return [...panels];
	const most = dy === 0 ? 1 : Math.max(...panels.map(bottomOf));
	for (let step = 1; step <= most; step += 1) {
		const next = withPlace(panels, id, { ...own, x: own.x + dx * step, y: own.y + dy * step });
		const { x, y } = next.find((panel) => panel.id === id) ?? own;
		if (x !== own.x || y !== own.y) return next;
	}
	return [...panels];
}

/** The panels moved up as far as there is room. */
export function compacted(panels: readonly Panel[]): Panel[] {
	const settled: Panel[] = [];
	for (const panel of inReadingOrder(panels)) {
		let y = panel.y;
		while (y > 0 && !settled.some((other) => overlaps(other, { ...panel, y: y - 1 }))) y -= 1;
		settled.push(clearOf(settled, { ...panel, y }));
	}
	return inOrderOf(panels, settled);
}

/** The first place, from the top, where a panel of this size fits. */
export function freePlace(panels: readonly Panel[], size: Pick<Panel, "w" | "h">): Place {
	const bottom = Math.max(0, ...panels.map(bottomOf));
	for (let y = 0; y <= bottom; y += 1) {
		for (let x = 0; x + size.w <= COLUMNS; x += 1) {
			const place = { x, y, ...size };
			if (!panels.some((panel) => overlaps(panel, place))) return place;
		}
	}
	return { x: 0, y: bottom, ...size };
}

/** From the top, and from the left: as one reads them. */
export function inReadingOrder(panels: readonly Panel[]): Panel[] {
	return [...panels].sort((a, b) => a.y - b.y || a.x - b.x);
}

export function overlaps(one: Place, other: Place): boolean {
	return isBeside(one, other) && one.y < bottomOf(other) && other.y < bottomOf(one);
}

/** Whether two places have a column in common. */
const isBeside = (one: Place, other: Place) => one.x < other.x + other.w && other.x < one.x + one.w;

const bottomOf = ({ y, h }: Place) => y + h;

/** A panel moved down until it lies on none of these. */
function clearOf(settled: readonly Panel[], panel: Panel): Panel {
	let { y } = panel;
	for (;;) {
		const inTheWay = settled.find((other) => overlaps(other, { ...panel, y }));
		if (!inTheWay) return { ...panel, y };
		y = bottomOf(inTheWay);
	}
}

function inOrderOf(order: readonly Panel[], panels: readonly Panel[]): Panel[] {
	const byId = new Map(panels.map((panel) => [panel.id, panel]));
	return order.flatMap(({ id }) => byId.get(id) ?? []);
}
