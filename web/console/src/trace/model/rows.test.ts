import { describe, expect, test } from "vitest";
import { generateOutline } from "../fixtures/generate";
import { outlineOf, type SpanLine } from "../fixtures/outline";
import { applyFilter, NO_FILTER } from "./filter";
import { TraceModel } from "./model";
import { overview } from "./overview";
import { closeAll, openTree, reveal, runOf, setOpen, setRunOpen, setSubtreeOpen } from "./reveal";
import {
	Fold,
	type Folding,
	lineKey,
	lineOfKey,
	lineShowing,
	linesShowing,
	shownRows,
	UNFOLDED,
} from "./rows";

/** `root` with a tool, so many like events (the second with a child) and another tool. */
function withRun(length: number): TraceModel {
	const events = Array.from(
		{ length },
		(_, at): SpanLine => ({
			id: `e${at}`,
			parent: "root",
			name: "sendEvent",
			start: 10 + at,
			duration: 1,
			...(at === 2 ? { status: 2 } : {}),
		}),
	);
	return new TraceModel(
		outlineOf([
			{ id: "root", start: 0, duration: 1000 },
			{ id: "read", parent: "root", start: 1, duration: 5 },
			...events,
			{ id: "under", parent: "e1", start: 500, duration: 1 },
			{ id: "bash", parent: "root", start: 600, duration: 5 },
		]),
	);
}

function drawn(model: TraceModel, folding: Folding, kept = applyFilter(model, NO_FILTER)) {
	const shown = shownRows(model, folding, kept);
	const signs = ["", "-", "+"];
	return Array.from({ length: shown.count }, (_, line) => {
		const name = model.nameOf(shown.row[line] ?? -1);
		const run = shown.run[line] ? ` × ${shown.run[line]}` : "";
		return `${"  ".repeat(shown.level[line] ?? 0)}${signs[shown.fold[line] ?? 0]}${name}${run}`;
	});
}

const RUN_LENGTH = 8;

describe("the rows of a waterfall", () => {
	test("siblings of one name, one after the other, are one row that can be opened", () => {
		const model = withRun(500);
		expect(drawn(model, UNFOLDED)).toEqual(["-root", "  read", "  +sendEvent × 500", "  bash"]);
		const first = model.rowOf("e0");
		const opened = drawn(model, setRunOpen(model, UNFOLDED, first, true));
		expect(opened).toHaveLength(4 + 500 + 1);
		expect(opened.slice(2, 6)).toEqual([
			"  -sendEvent × 500",
			"    sendEvent",
			"    -sendEvent",
			"      under",
		]);
	});

	test("a few like siblings stay rows of their own", () => {
		expect(drawn(withRun(RUN_LENGTH - 1), UNFOLDED)).toHaveLength(RUN_LENGTH - 1 + 4);
	});

	test("of messages that were sent, three are many", () => {
		const sent = Array.from(
			{ length: 3 },
			(_, at): SpanLine => ({
				id: `m${at}`,
				parent: "r",
				name: "sendEvent",
				kind: "producer",
				start: at,
				duration: 1,
			}),
		);
		const model = new TraceModel(outlineOf([{ id: "r", start: 0, duration: 9 }, ...sent]));
		expect(drawn(model, UNFOLDED)).toEqual(["-r", "  +sendEvent × 3"]);
	});

	test("another sibling between them ends a run", () => {
		const like = (id: string, at: number) => ({
			id,
			parent: "r",
			name: "x",
			start: at,
			duration: 1,
		});
		const many = Array.from({ length: 2 * RUN_LENGTH }, (_, at) => like(`x${at}`, at + 1));
		many.splice(RUN_LENGTH, 0, { ...like("y", RUN_LENGTH), name: "y" });
		const model = new TraceModel(outlineOf([{ id: "r", start: 0, duration: 99 }, ...many]));
		expect(drawn(model, UNFOLDED)).toEqual(["-r", "  +x × 8", "  y", "  +x × 8"]);
	});

	test("a closed span hides all below it", () => {
		const model = withRun(3);
		expect(drawn(model, setOpen(model, UNFOLDED, 0, false))).toEqual(["+root"]);
		expect(drawn(model, closeAll())).toContain("  +sendEvent");
	});

	test("closing and opening everything below a span leaves the others as they are", () => {
		const model = withRun(3);
		const closed = setSubtreeOpen(model, UNFOLDED, model.rowOf("e1"), false);
		expect(drawn(model, closed)).toContain("  +sendEvent");
		expect(drawn(model, setSubtreeOpen(model, closeAll(), 0, true))).toEqual(
			drawn(model, openTree()),
		);
	});

	test("a filter keeps what matches, and what is above it", () => {
		const model = withRun(3);
		const kept = applyFilter(model, { ...NO_FILTER, errors: true });
		expect(drawn(model, UNFOLDED, kept)).toEqual(["-root", "  sendEvent"]);
		expect(kept?.count).toBe(1);
		expect(kept?.matches[0]).toBe(0);
	});

	test("a filter for a service that the trace lacks keeps nothing", () => {
		const model = withRun(3);
		const kept = applyFilter(model, { ...NO_FILTER, services: ["nobody"] });
		expect(drawn(model, UNFOLDED, kept)).toEqual([]);
	});

	test("revealing a span opens what hides it: the span above, and its run", () => {
		const model = withRun(20);
		const hidden = setOpen(model, UNFOLDED, 0, false);
		const row = model.rowOf("under");
		expect(shownRows(model, hidden, null).lineOf[row]).toBe(-1);
		const shown = shownRows(model, reveal(model, hidden, row, null), null);
		expect(shown.lineOf[row]).toBeGreaterThan(0);
	});

	test("a member of a closed run is seen on the run's line, and what is below it too", () => {
		const model = withRun(20);
		const shown = shownRows(model, UNFOLDED, null);
		expect(lineShowing(model, shown, model.rowOf("e7"))).toBe(2);
		expect(lineShowing(model, shown, model.rowOf("under"))).toBe(2);
		expect(lineShowing(model, shown, model.rowOf("bash"))).toBe(3);
		const all = Array.from(model.ids, (_, row) => lineShowing(model, shown, row));
		expect(Array.from(linesShowing(model, shown))).toEqual(all);
	});

	test("a run is known by its first span", () => {
		const model = withRun(20);
		expect(runOf(model, model.rowOf("e7"), null)).toBe(model.rowOf("e0"));
		expect(runOf(model, model.rowOf("bash"), null)).toBe(-1);
	});

	test("a line is found again by its key after the trace has grown", () => {
		const before = withRun(20);
		const after = withRun(40);
		const shown = shownRows(before, UNFOLDED, null);
		for (const line of [0, 1, 2, 3]) {
			const key = lineKey(before, shown, line);
			expect(lineOfKey(after, shownRows(after, UNFOLDED, null), key)).toBe(line);
		}
		const open = setRunOpen(after, UNFOLDED, after.rowOf("e0"), true);
		expect(lineOfKey(after, shownRows(after, open, null), "run e0")).toBe(2);
		expect(lineOfKey(after, shownRows(after, open, null), "e0")).toBe(3);
	});

	describe("work that was done for several events", () => {
		const model = new TraceModel(
			outlineOf(
				[
					{ id: "root", start: 0, duration: 100 },
					{ id: "one", parent: "root", start: 1, duration: 9 },
					{ id: "two", parent: "root", start: 2, duration: 9 },
					{ id: "insert", parent: "one", start: 3, duration: 1, status: 2 },
					{ id: "commit", parent: "one", start: 4, duration: 1 },
				],
				{ linked: [{ spans: [3, 4], under: [2] }] },
			),
		);

		test("is shown under each of them", () => {
			expect(drawn(model, UNFOLDED)).toEqual([
				"-root",
				"  -one",
				"    insert",
				"    commit",
				"  -two",
				"    insert",
				"    commit",
			]);
			const closed = setOpen(model, UNFOLDED, model.rowOf("two"), false);
			expect(drawn(model, closed).at(-1)).toBe("  +two");
		});

		test("has a line of its own in each place, and is found in the first", () => {
			const shown = shownRows(model, UNFOLDED, null);
			const keys = Array.from({ length: shown.count }, (_, line) => lineKey(model, shown, line));
			expect(new Set(keys).size).toBe(shown.count);
			expect(keys.map((key) => lineOfKey(model, shown, key))).toEqual(keys.map((_, line) => line));
			expect(shown.lineOf[model.rowOf("insert")]).toBe(2);
		});

		test("is left out there too when a filter leaves it out", () => {
			const kept = applyFilter(model, { ...NO_FILTER, errors: true });
			expect(drawn(model, UNFOLDED, kept)).toEqual(["-root", "  -one", "    insert"]);
		});
	});

	test("a small trace is open wholly at first, a large one as far as it can be read", () => {
		const small = withRun(20);
		expect(overview(small)).toEqual(UNFOLDED);
		const large = new TraceModel(generateOutline({ spans: 3_000 }));
		const lines = drawn(large, overview(large));
		expect(lines.filter((line) => line.includes("+runner.tool")).length).toBeGreaterThan(50);
		expect(lines.some((line) => line.includes("sendEvent"))).toBe(false);
	});

	test("a chain of 100,000 spans, all open, are as many lines", () => {
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
		const model = new TraceModel(outlineOf(chain));
		const shown = shownRows(model, UNFOLDED, null);
		expect(shown.count).toBe(100_000);
		expect(shown.level[99_999]).toBe(99_999);
		expect(shown.fold[99_999]).toBe(Fold.leaf);
	});
});
