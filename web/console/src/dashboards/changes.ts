/**
 * What is saved of a change to the document, also when somebody else has saved meanwhile.
 *
 * A change is about one dashboard or one saved question. On a newer document it is made again; only if that very dashboard
 * was changed by somebody else, the one who saves must say whose shall stay.
 */

import type { Dashboard, DashboardDocument, SavedQuestion } from "./model";

export type Change =
	/** `base` is the dashboard that was edited: nothing where it was not kept yet. */
	| { kind: "put dashboard"; dashboard: Dashboard; base: Dashboard | undefined }
	| { kind: "remove dashboard"; id: string }
	| { kind: "put question"; question: SavedQuestion }
	| { kind: "remove question"; id: string };

/** The document with a change made. */
export function changed(document: DashboardDocument, change: Change): DashboardDocument {
	const { dashboards, saved } = document;
	switch (change.kind) {
		case "put dashboard":
			return { ...document, dashboards: put(dashboards, change.dashboard) };
		case "remove dashboard":
			return { ...document, dashboards: dashboards.filter(({ id }) => id !== change.id) };
		case "put question":
			return { ...document, saved: put(saved, change.question) };
		case "remove question":
			return { ...document, saved: saved.filter(({ id }) => id !== change.id) };
	}
}

/** The dashboard as somebody else has saved it, if a change would undo what they did; `removed` if they removed it. */
export function conflictOf(
	document: DashboardDocument,
	change: Change,
): Dashboard | "removed" | undefined {
	if (change.kind !== "put dashboard") return undefined;
	const theirs = document.dashboards.find(({ id }) => id === change.dashboard.id);
	if (same(theirs, change.base) || same(theirs, change.dashboard)) return undefined;
	return theirs ?? "removed";
}

function put<T extends { id: string }>(all: readonly T[], one: T): T[] {
	const isThere = all.some(({ id }) => id === one.id);
	return isThere ? all.map((other) => (other.id === one.id ? one : other)) : [...all, one];
}

/** Whether two dashboards are alike, whatever the order of their members' names. */
function same(one: Dashboard | undefined, other: Dashboard | undefined): boolean {
	return written(one) === written(other);
}

function written(dashboard: Dashboard | undefined): string {
	if (!dashboard) return "";
	const panels = dashboard.panels.map(({ id, title, query, view, x, y, w, h }) => [
		...[id, title, query, view],
		...[x, y, w, h],
	]);
	return JSON.stringify([dashboard.name, panels]);
}
