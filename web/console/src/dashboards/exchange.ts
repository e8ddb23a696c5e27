/** Dashboards as files: written as JSON, and read with care, since anybody may have written them. */

import { VIEWS, type View } from "../charts/views";
import { compacted, onGrid } from "./grid";
import { type Dashboard, newId, type Panel } from "./model";

const FORMAT = "hopline.dashboard.v1";

/** More than anyone looks at, and than a server should keep. */
const MOST_PANELS = 100;
const LONGEST_NAME = 200;
const LONGEST_QUERY = 16 * 1024;

/** What is wrong with a file, in words for whoever chose it. */
export class BadFile extends Error {}

export function written(dashboard: Dashboard): string {
	const panels = dashboard.panels.map(({ title, query, view, x, y, w, h }) => ({
		title,
		query,
		view,
		...{ x, y, w, h },
	}));
	return `${JSON.stringify({ format: FORMAT, name: dashboard.name, panels }, null, "\t")}\n`;
}

/** The dashboard of a file, under ids of its own. Throws BadFile if it is none. */
export function readDashboard(text: string): Dashboard {
	const file = members(parsed(text), "The file");
	if (file.format !== FORMAT) {
		throw new BadFile(`This is no exported dashboard: its “format” is not “${FORMAT}”.`);
	}
	const { panels } = file;
	if (!Array.isArray(panels)) throw new BadFile("“panels” must be a list.");
	if (panels.length > MOST_PANELS) {
		throw new BadFile(`“panels” has ${panels.length} entries: at most ${MOST_PANELS} are taken.`);
	}
	return {
		id: newId(),
		name: textOf(file.name, "“name”", LONGEST_NAME),
		panels: compacted(panels.map(readPanel)),
	};
}

function readPanel(raw: unknown, at: number): Panel {
	const where = `Panel ${at + 1}`;
	const panel = members(raw, where);
	const place = onGrid({
		x: numberOf(panel.x, `${where}: “x”`),
		y: numberOf(panel.y, `${where}: “y”`),
		w: numberOf(panel.w, `${where}: “w”`),
		h: numberOf(panel.h, `${where}: “h”`),
	});
	return {
		id: newId(),
		title: textOf(panel.title, `${where}: “title”`, LONGEST_NAME),
		query: textOf(panel.query, `${where}: “query”`, LONGEST_QUERY),
		view: viewOf(panel.view, `${where}: “view”`),
		...place,
	};
}

function parsed(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		throw new BadFile("The file is not JSON.");
	}
}

function members(raw: unknown, where: string): Record<string, unknown> {
	if (typeof raw === "object" && raw !== null && !Array.isArray(raw)) {
		return raw as Record<string, unknown>;
	}
	throw new BadFile(`${where} must be an object.`);
}

function textOf(raw: unknown, where: string, longest: number): string {
	if (typeof raw !== "string" || raw.trim() === "") {
		throw new BadFile(`${where} must be a text that is not empty.`);
	}
	if (raw.length > longest) throw new BadFile(`${where} is longer than ${longest} letters.`);
	return raw;
}

function numberOf(raw: unknown, where: string): number {
	// What lies far below everything else would take as long to move up.
	if (typeof raw === "number" && raw >= 0 && raw <= 10_000) return raw;
	throw new BadFile(`${where} must be a number from 0 to 10,000.`);
}

function viewOf(raw: unknown, where: string): View {
	const view = VIEWS.find((view) => view === raw);
	if (view) return view;
	throw new BadFile(
		`${where} is ${JSON.stringify(raw) ?? "missing"}: expected ${VIEWS.join(", ")}.`,
	);
}
