/**
 * Moves and resizes panels by pointer and by arrow keys.
 *
 * A drag is counted from where it began, in whole cells: the other panels come back to their places as it passes.
 */

import { type KeyboardEvent, type PointerEvent, type RefObject, useRef, useState } from "react";
import { COLUMNS, type Place } from "./grid";
import type { Dashboard, Panel } from "./model";
import type { Editing } from "./useEditing";

/** What is done with a handle. */
type Grip = "move" | "resize";

/** What a handle of a panel needs to have. */
export type Handles = (
	grip: Grip,
	panel: Panel,
) => {
	onPointerDown(event: PointerEvent): void;
	onPointerMove(event: PointerEvent): void;
	onPointerUp(): void;
	onPointerCancel(): void;
	onKeyDown(event: KeyboardEvent): void;
};

/** A row's height and the gap between panels, in pixels; the style sheet has the same. */
const ROW = 36;
const GAP = 12;

type Drag = { grip: Grip; panel: Panel; from: Dashboard; x: number; y: number };

const ARROWS: Record<string, [dx: number, dy: number]> = {
	ArrowLeft: [-1, 0],
	ArrowRight: [1, 0],
	ArrowUp: [0, -1],
	ArrowDown: [0, 1],
};

export function useArranging(editing: Editing, grid: RefObject<HTMLElement | null>) {
	const drag = useRef<Drag>(undefined);
	const [held, setHeld] = useState<string>();
	const { dashboard, edit, editFrom } = editing;

	const end = () => {
		drag.current = undefined;
		setHeld(undefined);
	};

	const handles: Handles = (grip, panel) => ({
		onPointerDown(event) {
			if (event.button !== 0) return;
			event.currentTarget.setPointerCapture(event.pointerId);
			drag.current = { grip, panel, from: dashboard, x: event.clientX, y: event.clientY };
			setHeld(panel.id);
		},
		onPointerMove(event) {
			const begun = drag.current;
			if (!begun || !grid.current) return;
			const column = (grid.current.clientWidth + GAP) / COLUMNS;
			const dx = Math.round((event.clientX - begun.x) / column);
			const dy = Math.round((event.clientY - begun.y) / (ROW + GAP));
			const place = placeAfter(begun.grip, begun.panel, dx, dy);
			editFrom(begun.from, { kind: "place", id: begun.panel.id, place });
		},
		onPointerUp: end,
		onPointerCancel: end,
		onKeyDown(event) {
			const arrow = ARROWS[event.key];
			if (!arrow) return;
			event.preventDefault();
			const [dx, dy] = arrow;
			if (grip === "move") edit({ kind: "nudge", id: panel.id, dx, dy });
			else edit({ kind: "place", id: panel.id, place: placeAfter(grip, panel, dx, dy) });
		},
	});
	return { handles, held };
}

function placeAfter(grip: Grip, { x, y, w, h }: Place, dx: number, dy: number): Place {
	return grip === "move" ? { x: x + dx, y: y + dy, w, h } : { x, y, w: w + dx, h: h + dy };
}
