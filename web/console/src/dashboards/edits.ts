/** What can be done to a dashboard: each edit makes another one of it. */

import type { View } from "../charts/views";
import { compacted, freePlace, inReadingOrder, nudged, type Place, withPlace } from "./grid";
import type { Dashboard, Panel } from "./model";

/** What of a panel is written by hand. */
export type PanelContent = Pick<Panel, "title" | "query" | "view">;

export type Edit =
	| { kind: "rename"; name: string }
	| { kind: "add"; id: string; content: PanelContent }
	| { kind: "change"; id: string; content: PanelContent }
	| { kind: "duplicate"; id: string; copyId: string }
	| { kind: "remove"; id: string }
	| { kind: "place"; id: string; place: Place }
	| { kind: "nudge"; id: string; dx: number; dy: number };

/** How large a panel of a view begins. */
const SIZES: Record<View, Pick<Panel, "w" | "h">> = {
	number: { w: 3, h: 3 },
	series: { w: 6, h: 6 },
	top: { w: 6, h: 6 },
	heat: { w: 6, h: 6 },
	table: { w: 12, h: 6 },
};

export function edited(dashboard: Dashboard, edit: Edit): Dashboard {
	const { panels } = dashboard;
	const withPanels = (panels: Panel[]): Dashboard => ({ ...dashboard, panels });
	switch (edit.kind) {
		case "rename":
			return { ...dashboard, name: edit.name };
		case "add":
			return withPanels([...panels, placed(panels, edit.id, edit.content)]);
		case "change":
			return withPanels(
				panels.map((panel) => (panel.id === edit.id ? { ...panel, ...edit.content } : panel)),
			);
		case "duplicate": {
			const own = panels.find(({ id }) => id === edit.id);
			if (!own) return dashboard;
			const copy = { ...own, id: edit.copyId, ...freePlace(panels, { w: own.w, h: own.h }) };
			return withPanels([...panels, copy]);
		}
		case "remove":
			return withPanels(compacted(panels.filter(({ id }) => id !== edit.id)));
		case "place":
			return withPanels(withPlace(panels, edit.id, edit.place));
		case "nudge":
			return withPanels(nudged(panels, edit.id, edit.dx, edit.dy));
	}
}

function placed(panels: readonly Panel[], id: string, content: PanelContent): Panel {
	return { id, ...content, ...freePlace(panels, SIZES[content.view]) };
}

/** A dashboard as it is kept: its panels in the order in which they are read. */
export function tidied(dashboard: Dashboard): Dashboard {
	return { ...dashboard, panels: inReadingOrder(compacted(dashboard.panels)) };
}
