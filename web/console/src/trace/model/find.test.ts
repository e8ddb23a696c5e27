import { describe, expect, test } from "vitest";
import { outlineOf } from "../fixtures/outline";
import { applyFilter, NO_FILTER } from "./filter";
import { errorRows, findSpans, step } from "./find";
import { TraceModel } from "./model";

const model = new TraceModel(
	outlineOf([
		{
			id: "aaaa000000000001",
			name: "runner.build",
			op: "build",
			service: "runner",
			start: 0,
			duration: 9,
		},
		{
			id: "bbbb000000000002",
			parent: "aaaa000000000001",
			name: "INSERT notes",
			op: "db.query",
			service: "processor",
			start: 1,
			duration: 1,
			status: 2,
		},
		{
			id: "cccc000000000003",
			name: "INSERT todos",
			op: "db.query",
			service: "processor",
			start: 2,
			duration: 1,
		},
		{
			id: "dddd000000000004",
			parent: "aaaa000000000001",
			name: "COMMIT",
			op: "db.query",
			service: "processor",
			start: 3,
			duration: 1,
			status: 2,
		},
	]),
);

const found = (query: string, kept = applyFilter(model, NO_FILTER)) =>
	Array.from(findSpans(model, query, kept), (row) => model.nameOf(row));

describe("search in a trace", () => {
	test("looks in names, ops and services, whatever the case", () => {
		expect(found("commit")).toEqual(["COMMIT"]);
		expect(found("db.query")).toEqual(["INSERT notes", "COMMIT", "INSERT todos"]);
		expect(found("RUNNER")).toEqual(["runner.build"]);
	});

	test("wants every word, in any of these", () => {
		expect(found("insert db")).toEqual(["INSERT notes", "INSERT todos"]);
		expect(found("insert runner")).toEqual([]);
	});

	test("finds a span by its id or the beginning of it", () => {
		expect(found("cccc000000000003")).toEqual(["INSERT todos"]);
		expect(found("dddd")).toEqual(["COMMIT"]);
	});

	test("an empty search finds nothing", () => {
		expect(found("")).toEqual([]);
		expect(found("   ")).toEqual([]);
	});

	test("only finds what the filters leave", () => {
		const kept = applyFilter(model, { ...NO_FILTER, errors: true });
		expect(found("insert", kept)).toEqual(["INSERT notes"]);
	});
});

describe("stepping through what was found", () => {
	const rows = findSpans(model, "db.query", null);
	const name = (place: number) => model.nameOf(rows[place] ?? -1);

	test("goes on in the order of rows, and round the end", () => {
		expect(name(step(model, rows, -1, 1))).toBe("INSERT notes");
		expect(name(step(model, rows, model.rowOf("bbbb000000000002"), 1))).toBe("COMMIT");
		expect(name(step(model, rows, model.rowOf("cccc000000000003"), 1))).toBe("INSERT notes");
		expect(name(step(model, rows, model.rowOf("bbbb000000000002"), -1))).toBe("INSERT todos");
		expect(name(step(model, rows, -1, -1))).toBe("INSERT todos");
	});

	test("starts from a row that was not found", () => {
		expect(name(step(model, rows, model.rowOf("aaaa000000000001"), 1))).toBe("INSERT notes");
		expect(name(step(model, rows, model.rowOf("aaaa000000000001"), -1))).toBe("INSERT todos");
	});

	test("errors are found likewise", () => {
		expect(Array.from(errorRows(model, null), (row) => model.nameOf(row))).toEqual([
			"INSERT notes",
			"COMMIT",
		]);
	});

	test("nothing found is nowhere to go", () => {
		expect(step(model, new Int32Array(0), 0, 1)).toBe(-1);
	});
});
