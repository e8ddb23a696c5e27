/**
 * Where panels lie: on a grid of twelve columns, none upon another, and none with room above it.
 *
 * Whatever is moved or resized stays where it was put, as far as it fits; others make way downwards, and then all move up.
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

/** The panels with one of them at another place. The order of the list stays. */
export function withPlace(panels: readonly Panel[], id: string, place: Place): Panel[] {
	const moved = panels.find((panel) => panel.id === id);
	if (!moved) return [...panels];
	const settled = new Map<string, Panel>();
	settled.set(id, { ...moved, ...onGrid(place) });
	for (const panel of inReadingOrder(panels)) {
		if (panel.id !== id) settled.set(panel.id, clearOf([...settled.values()], panel));
	}
	return inOrderOf(panels, compacted([...settled.values()]));
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
	const bottom = Math.max(0, ...panels.map(({ y, h }) => y + h));
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
	return (
		one.x < other.x + other.w &&
		other.x < one.x + one.w &&
		one.y < other.y + other.h &&
		other.y < one.y + one.h
	);
}

/** A panel moved down until it lies on none of these. */
function clearOf(settled: readonly Panel[], panel: Panel): Panel {
	let { y } = panel;
	for (;;) {
		const inTheWay = settled.find((other) => overlaps(other, { ...panel, y }));
		if (!inTheWay) return { ...panel, y };
		y = inTheWay.y + inTheWay.h;
	}
}

function inOrderOf(order: readonly Panel[], panels: readonly Panel[]): Panel[] {
	const byId = new Map(panels.map((panel) => [panel.id, panel]));
	return order.flatMap(({ id }) => byId.get(id) ?? []);
}
