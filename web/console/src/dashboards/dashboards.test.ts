import { describe, expect, test } from "vitest";
import { parse } from "../query/language/parse";
import { type Change, changed, conflictOf } from "./changes";
import { type Edit, edited, tidied } from "./edits";
import { BadFile, readDashboard, written } from "./exchange";
import { COLUMNS, compacted, freePlace, nudged, overlaps, withPlace } from "./grid";
import { copyOf, type Dashboard, type DashboardDocument, type Panel } from "./model";
import { listed, READY_MADE } from "./ready";

const panel = (id: string, x: number, y: number, w: number, h: number): Panel => ({
	...{ id, title: `Panel ${id}`, query: "count(spans)", view: "number" },
	...{ x, y, w, h },
});

const places = (panels: readonly Panel[]) =>
	Object.fromEntries(panels.map(({ id, x, y, w, h }) => [id, [x, y, w, h]]));

function noneOverlap(panels: readonly Panel[]) {
	const pairs = panels.flatMap((one, at) =>
		panels.slice(at + 1).map((other) => [one, other] as const),
	);
	return !pairs.some(([one, other]) => overlaps(one, other));
}

describe("the grid", () => {
	const two = [panel("a", 0, 0, 6, 4), panel("b", 6, 0, 6, 4)];

	test("a panel stays where it is put, and others make way downwards", () => {
		expect(places(withPlace(two, "a", { x: 4, y: 0, w: 6, h: 4 }))).toEqual({
			a: [4, 0, 6, 4],
			b: [6, 4, 6, 4],
		});
	});

	test("there is no room above a panel", () => {
		expect(places(withPlace(two, "b", { x: 6, y: 20, w: 6, h: 4 })).b).toEqual([6, 0, 6, 4]);
		expect(places(compacted([panel("a", 0, 9, 4, 2), panel("b", 2, 30, 4, 2)]))).toEqual({
			a: [0, 0, 4, 2],
			b: [2, 2, 4, 2],
		});
	});

	test("a panel that covers the lower half of another comes below it, which moves up", () => {
		const stacked = [panel("a", 0, 0, 6, 4), panel("b", 0, 4, 6, 4)];
		expect(places(withPlace(stacked, "a", { x: 0, y: 1, w: 6, h: 4 }))).toEqual(places(stacked));
		expect(places(withPlace(stacked, "a", { x: 0, y: 2, w: 6, h: 4 }))).toEqual({
			a: [0, 4, 6, 4],
			b: [0, 0, 6, 4],
		});
	});

	test("a panel can be moved step by step past any other", () => {
		const stacked = [panel("a", 0, 0, 6, 4), panel("b", 0, 4, 6, 9)];
		const down = nudged(stacked, "a", 0, 1);
		expect(places(down)).toEqual({ a: [0, 9, 6, 4], b: [0, 0, 6, 9] });
		expect(places(nudged(down, "a", 0, -1))).toEqual(places(stacked));
		expect(places(nudged(stacked, "a", 1, 0)).a?.[0]).toBe(1);
		expect(nudged(stacked, "a", 0, -1)).toEqual(stacked);
	});

	test("a panel is never put beside the grid, nor made too small or too large for it", () => {
		expect(places(withPlace(two, "a", { x: 11, y: -3, w: 6, h: 4 })).a?.[0]).toBe(6);
		expect(places(withPlace(two, "a", { x: 0, y: 0, w: 99, h: 0 })).a).toEqual([0, 0, 12, 2]);
	});

	test("however panels are moved and resized, none lies upon another", () => {
		let panels = Array.from({ length: 9 }, (_, at) => panel(`${at}`, (at * 4) % COLUMNS, at, 4, 3));
		let seed = 7;
		const next = (below: number) => {
			seed = (seed * 48271) % 2147483647;
			return seed % below;
		};
		for (let step = 0; step < 300; step += 1) {
			const place = { x: next(14) - 1, y: next(20), w: next(14), h: next(9) };
			panels = withPlace(panels, `${next(9)}`, place);
			expect(noneOverlap(panels)).toBe(true);
			expect(panels.every(({ x, w }) => x >= 0 && x + w <= COLUMNS)).toBe(true);
			expect(panels.map(({ id }) => id).join("")).toBe("012345678");
		}
	});

	test("a new panel takes the first room that there is", () => {
		expect(freePlace(two, { w: 3, h: 3 })).toEqual({ x: 0, y: 4, w: 3, h: 3 });
		expect(freePlace([panel("a", 0, 0, 6, 4)], { w: 3, h: 3 })).toMatchObject({ x: 6, y: 0 });
	});
});

describe("edits", () => {
	const dashboard: Dashboard = {
		id: "d",
		name: "Mine",
		panels: [panel("a", 0, 0, 6, 4), panel("b", 0, 4, 6, 4)],
	};
	const made = (edit: Edit) => edited(dashboard, edit);

	test("add a panel of a size that suits its view", () => {
		const content = { title: "New", query: "spans", view: "table" } as const;
		expect(made({ kind: "add", id: "c", content }).panels.at(-1)).toEqual({
			...{ id: "c", ...content },
			...{ x: 0, y: 8, w: 12, h: 6 },
		});
	});

	test("change what a panel shows and leave it where it is", () => {
		const content = { title: "Other", query: "spans", view: "top" } as const;
		const [changed] = made({ kind: "change", id: "a", content }).panels;
		expect(changed).toEqual({ ...dashboard.panels[0], ...content });
	});

	test("copy a panel beside it", () => {
		const { panels } = made({ kind: "duplicate", id: "a", copyId: "c" });
		expect(panels.at(-1)).toEqual({ ...dashboard.panels[0], id: "c", x: 6 });
	});

	test("remove a panel, and those below it move up", () => {
		expect(places(made({ kind: "remove", id: "a" }).panels)).toEqual({ b: [0, 0, 6, 4] });
	});

	test("rename", () => {
		expect(made({ kind: "rename", name: "Other" })).toEqual({ ...dashboard, name: "Other" });
	});

	test("leave the dashboard that they were made to as it was", () => {
		const before = structuredClone(dashboard);
		made({ kind: "place", id: "b", place: { x: 0, y: 0, w: 6, h: 4 } });
		expect(dashboard).toEqual(before);
	});

	test("in the end panels are kept in the order in which they are read", () => {
		const moved = made({ kind: "place", id: "b", place: { x: 0, y: 0, w: 6, h: 4 } });
		expect(moved.panels.map(({ id }) => id)).toEqual(["a", "b"]);
		expect(tidied(moved).panels.map(({ id }) => id)).toEqual(["b", "a"]);
	});
});

describe("changes to a document that somebody else has saved", () => {
	const base: Dashboard = { id: "d", name: "Before", panels: [panel("a", 0, 0, 6, 4)] };
	const mine: Dashboard = { ...base, name: "Mine" };
	const theirs: Dashboard = { ...base, name: "Theirs" };
	const document = (...dashboards: Dashboard[]): DashboardDocument => ({
		version: 7,
		dashboards,
		saved: [],
	});
	const put: Change = { kind: "put dashboard", dashboard: mine, base };

	test("are made again where another dashboard was changed", () => {
		const other: Dashboard = { id: "e", name: "Other", panels: [] };
		const newer = document(base, other);
		expect(conflictOf(newer, put)).toBeUndefined();
		expect(changed(newer, put)).toEqual(document(mine, other));
	});

	test("are asked about where the same dashboard was changed or removed", () => {
		expect(conflictOf(document(theirs), put)).toEqual(theirs);
		expect(conflictOf(document(), put)).toBe("removed");
	});

	test("are no conflict where both did the same, or where only members' names come in another order", () => {
		expect(conflictOf(document(mine), put)).toBeUndefined();
		const { h, w, y, x, view, query, title, id } = panel("a", 0, 0, 6, 4);
		const reordered = { panels: [{ h, w, y, x, view, query, title, id }], name: "Before", id: "d" };
		expect(conflictOf(document(reordered), put)).toBeUndefined();
	});

	test("add, replace and remove questions by their ids", () => {
		const question = { id: "q", name: "Q", query: "spans", view: "table" } as const;
		const added = changed(document(), { kind: "put question", question });
		expect(added.saved).toEqual([question]);
		const renamed = { ...question, name: "R" };
		expect(changed(added, { kind: "put question", question: renamed }).saved).toEqual([renamed]);
		expect(changed(added, { kind: "remove question", id: "q" }).saved).toEqual([]);
	});
});

describe("files", () => {
	const dashboard: Dashboard = { id: "d", name: "Mine", panels: [panel("a", 3, 0, 6, 4)] };

	test("what was exported is read as it was, under ids of its own", () => {
		const read = readDashboard(written(dashboard));
		expect(read).toMatchObject({ name: "Mine", panels: [{ title: "Panel a", x: 3, w: 6 }] });
		expect(read.id).not.toBe("d");
		expect(read.panels[0]?.id).not.toBe("a");
	});

	test.each([
		["{", "not JSON"],
		["[]", "The file must be an object"],
		["{}", "no exported dashboard"],
		['{"format":"hopline.dashboard.v1"}', "“panels” must be a list"],
		['{"format":"hopline.dashboard.v1","panels":[],"name":" "}', "“name” must be a text"],
		['{"format":"hopline.dashboard.v1","name":"n","panels":[5]}', "Panel 1 must be an object"],
		[
			'{"format":"hopline.dashboard.v1","name":"n","panels":[{"title":"t","query":"q","view":"pie","x":0,"y":0,"w":1,"h":1}]}',
			'Panel 1: “view” is "pie": expected table, series, top, heat, number',
		],
		[
			'{"format":"hopline.dashboard.v1","name":"n","panels":[{"title":"t","query":"q","view":"top","x":-1,"y":0,"w":1,"h":1}]}',
			"Panel 1: “x” must be a number from 0 to 10,000",
		],
	])("%s is refused with what is wrong with it", (text, message) => {
		expect(() => readDashboard(text)).toThrow(BadFile);
		expect(() => readDashboard(text)).toThrow(message);
	});

	test("a file whose panels lie upon each other is put in order", () => {
		const overlapping = { ...dashboard, panels: [panel("a", 0, 0, 6, 4), panel("b", 3, 1, 6, 4)] };
		expect(noneOverlap(readDashboard(written(overlapping)).panels)).toBe(true);
	});
});

describe("ready-made dashboards", () => {
	test("answer the four questions that tracing began with", () => {
		const queries = READY_MADE.flatMap(({ panels }) => panels.map(({ query }) => query));
		expect(queries).toEqual(
			expect.arrayContaining([
				'avg(span.duration) where op:"db.persist.event"',
				'sum(span.duration) where op:"broker.event.forward"',
				'spans where op:"db.persist.event" order by duration desc limit 10',
				'spans where name:"broker.forwardEvent.*" and status:"error"',
			]),
		);
	});

	test("have questions that are understood, and panels that lie well", () => {
		for (const { panels, name } of READY_MADE) {
			expect(noneOverlap(panels), name).toBe(true);
			expect(compacted(panels), name).toEqual(panels);
			for (const { query } of panels) expect(parse(query), query).toBeDefined();
		}
	});

	test("are listed until one is edited, which then stands in their place", () => {
		const [first] = READY_MADE;
		if (!first) throw new Error("none");
		const edited = { ...first, name: "Edited" };
		const own = copyOf(first, "Own");
		const all = listed({ dashboards: [own, edited] });
		expect(all.map(({ dashboard, isKept }) => [dashboard.name, isKept])).toEqual([
			["Edited", true],
			["Hop latencies", false],
			["Failures", false],
			["Own", true],
		]);
	});
});
