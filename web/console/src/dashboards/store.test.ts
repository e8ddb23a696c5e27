// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Change } from "./changes";
import type { Dashboard, DashboardDocument } from "./model";
import { Conflict, save } from "./store";

const base: Dashboard = { id: "d", name: "Before", panels: [] };
const put: Change = { kind: "put dashboard", dashboard: { ...base, name: "Mine" }, base };

/** A server that keeps one document, and somebody else who saves before a PUT. */
let kept: DashboardDocument;
let others: ((document: DashboardDocument) => DashboardDocument)[];

beforeEach(() => {
	kept = { version: 3, dashboards: [base], saved: [] };
	others = [];
	vi.stubGlobal("fetch", async (_: string, init: RequestInit) => {
		if (init.method !== "PUT") return Response.json(kept);
		const other = others.shift();
		if (other) kept = { ...other(kept), version: kept.version + 1 };
		const given = JSON.parse(String(init.body)) as DashboardDocument;
		if (given.version !== kept.version) {
			return Response.json({ error: "changed meanwhile", code: "changed" }, { status: 409 });
		}
		kept = { ...given, version: kept.version + 1 };
		return Response.json({ version: kept.version });
	});
});

afterEach(() => {
	vi.unstubAllGlobals();
});

const names = () => kept.dashboards.map(({ name }) => name);

test("a change is saved on the newest document", async () => {
	const saved = await save({ change: put });
	expect(names()).toEqual(["Mine"]);
	expect(saved.version).toBe(4);
});

test("what somebody else saves meanwhile stays, and the change is made to it", async () => {
	const other: Dashboard = { id: "e", name: "Other", panels: [] };
	others = [(document) => ({ ...document, dashboards: [...document.dashboards, other] })];
	await save({ change: put });
	expect(names()).toEqual(["Mine", "Other"]);
});

test("where the same dashboard was saved by somebody else, nothing is written until it is decided", async () => {
	others = [(document) => ({ ...document, dashboards: [{ ...base, name: "Theirs" }] })];
	await expect(save({ change: put })).rejects.toBeInstanceOf(Conflict);
	expect(names()).toEqual(["Theirs"]);
	await save({ change: put, overwrite: true });
	expect(names()).toEqual(["Mine"]);
});

test("after some tries it is given up", async () => {
	others = Array.from({ length: 9 }, () => (document: DashboardDocument) => document);
	await expect(save({ change: put })).rejects.toMatchObject({ code: "changed" });
});
