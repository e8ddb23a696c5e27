import { describe, expect, test } from "vitest";
import { generateOutline } from "../fixtures/generate";
import { outlineOf, type SpanLine } from "../fixtures/outline";
import { criticalPath, criticalShares, segmentsWithin } from "./critical";
import { TraceModel } from "./model";

const modelOf = (lines: SpanLine[]) => new TraceModel(outlineOf(lines));

function told(model: TraceModel) {
	return criticalPath(model)
		.segments.map((it) => ({ ...it, name: model.nameOf(it.row) }))
		.sort((a, b) => a.from - b.from)
		.map(({ name, from, to, waiting }) => `${from}–${to} ${waiting ? "to " : ""}${name}`);
}

describe("the critical path", () => {
	test("goes through the children that their parent waited for", () => {
		const model = modelOf([
			{ id: "root", start: 0, duration: 100 },
			{ id: "first", parent: "root", start: 10, duration: 30 },
			{ id: "beside", parent: "root", start: 15, duration: 10 },
			{ id: "second", parent: "root", start: 50, duration: 40 },
		]);
		expect(told(model)).toEqual([
			"0–10 root",
			"10–40 first",
			"40–50 root",
			"50–90 second",
			"90–100 root",
		]);
		expect(criticalPath(model).on[model.rowOf("beside")]).toBe(0);
	});

	test("follows hops that begin after their parent has ended, and counts the way between", () => {
		const model = modelOf([
			{ id: "send", start: 0, duration: 10 },
			{ id: "forward", parent: "send", start: 15, duration: 10 },
			{ id: "persist", parent: "forward", start: 40, duration: 10 },
		]);
		expect(told(model)).toEqual([
			"0–10 send",
			"10–15 to forward",
			"15–25 forward",
			"25–40 to persist",
			"40–50 persist",
		]);
		const path = criticalPath(model);
		expect(path.waited).toBe(20);
		expect(path.total).toBe(50);
	});

	test("leaves out a child that went on after its parent, if something else ended later", () => {
		const model = modelOf([
			{ id: "root", start: 0, duration: 100 },
			{ id: "late", parent: "root", start: 80, duration: 30 },
			{ id: "last", parent: "root", start: 90, duration: 50 },
		]);
		expect(told(model)).toEqual(["0–90 root", "90–140 last"]);
	});

	test("adds up to the trace's length, of a generated build", () => {
		const model = new TraceModel(generateOutline({ spans: 5_000 }));
		const path = criticalPath(model);
		expect(path.total).toBeCloseTo(model.times.total, -3);
		const shares = criticalShares(model, path).reduce((sum, [, ns]) => sum + ns, 0);
		expect(shares + path.waited).toBeCloseTo(path.total, -3);
	});

	test("ends at spans without length, and at clocks that run against each other", () => {
		const model = modelOf([
			{ id: "a", parent: "b", start: 0, duration: 0 },
			{ id: "b", start: 5, duration: 0 },
			{ id: "c", parent: "b", start: 5, duration: 0 },
		]);
		expect(criticalPath(model).total).toBe(0);
	});

	test("gives the segments of a subtree", () => {
		const model = modelOf([
			{ id: "root", start: 0, duration: 100 },
			{ id: "a", parent: "root", start: 10, duration: 30 },
			{ id: "aa", parent: "a", start: 20, duration: 10 },
			{ id: "b", parent: "root", start: 50, duration: 40 },
		]);
		const path = criticalPath(model);
		const { place, size } = model.tree;
		const row = model.rowOf("a");
		const from = place[row] ?? 0;
		const inA = segmentsWithin(model, path, from, from + (size[row] ?? 0));
		expect(new Set(inA.map((it) => model.nameOf(it.row)))).toEqual(new Set(["a", "aa"]));
	});

	test("of a chain of 100,000 spans takes no stack", () => {
		const chain = Array.from(
			{ length: 100_000 },
			(_, at): SpanLine => ({
				id: `s${at}`,
				...(at > 0 ? { parent: `s${at - 1}` } : {}),
				name: "deeper",
				start: at,
				duration: 1,
			}),
		);
		expect(criticalPath(modelOf(chain)).total).toBe(100_000);
	});
});
