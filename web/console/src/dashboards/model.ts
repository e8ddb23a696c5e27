/** What dashboards are, as the server keeps them: one document, with a version by which two who save at once are told apart. */

import type { View } from "../charts/views";

export type Panel = {
	id: string;
	title: string;
	/** A question in the query language, or in SQL. */
	query: string;
	view: View;
	/** Its place on a grid of twelve columns: from the left, from the top, how wide, how high. */
	x: number;
	y: number;
	w: number;
	h: number;
};

export type Dashboard = { id: string; name: string; panels: Panel[] };

export type SavedQuestion = { id: string; name: string; query: string; view: View };

export type DashboardDocument = {
	/** 0 where nothing was ever saved. */
	version: number;
	dashboards: Dashboard[];
	saved: SavedQuestion[];
};

/** An id that no other panel or dashboard has. */
export function newId(): string {
	const bytes = crypto.getRandomValues(new Uint8Array(8));
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A copy under ids of its own. */
export function copyOf(dashboard: Dashboard, name = dashboard.name): Dashboard {
	const panels = dashboard.panels.map((panel) => ({ ...panel, id: newId() }));
	return { id: newId(), name, panels };
}
