import { describe, expect, test } from "vitest";
import { type Answer, rolesOf } from "./answer";
import { linkOfCell } from "./links";
import { MOST_LINES, seriesOf, summaryOf } from "./series";
import { csvOf, nextSorting, sortedRows } from "./table";
import { topOf } from "./top";
import { formatNumber, formatSpan, formatValue } from "./values";

const minute = (at: number) => new Date(Date.UTC(2026, 0, 31, 9, at)).toISOString();
const millis = (at: number) => Date.UTC(2026, 0, 31, 9, at);

const COUNTS: Answer = {
	columns: [
		{ name: "time", unit: "bucket" },
		{ name: "op", unit: "plain" },
		{ name: "count(spans)", unit: "plain" },
	],
	rows: [
		[minute(0), "db.query", 5],
		[minute(0), null, 1],
		[minute(2), "db.query", 7],
	],
	more: false,
};

const SPANS: Answer = {
	columns: [
		{ name: "start", unit: "time" },
		{ name: "duration", unit: "nanoseconds" },
		{ name: "name", unit: "plain" },
		{ name: "trace_id", unit: "plain" },
		{ name: "span_id", unit: "plain" },
	],
	rows: [
		[minute(0), 1500, "COMMIT", "0".repeat(32), "1".repeat(16)],
		[minute(1), 9e6, "INSERT", "not an id", "1".repeat(16)],
	],
	more: false,
};

describe("the columns' roles", () => {
	test("figures are last in an answer to a question, whatever they hold", () => {
		const answer: Answer = { ...COUNTS, rows: [[minute(0), "x", null]] };
		expect(rolesOf(answer, 1)).toEqual({ time: 0, groups: [1], figures: [2] });
	});

	test("in any other answer figures are what has numbers", () => {
		expect(rolesOf(SPANS)).toEqual({ time: 0, groups: [2, 3, 4], figures: [1] });
	});
});

describe("series", () => {
	const roles = rolesOf(COUNTS, 1);

	test("each group has a line, the largest first, and no spans are a count of none", () => {
		expect(seriesOf(COUNTS, { roles, step: 60_000 })).toEqual({
			times: [millis(0), millis(1), millis(2)],
			lines: [
				{ name: "db.query", unit: "plain", hue: 1, values: [5, 0, 7] },
				{ name: "(none)", unit: "plain", hue: 0, values: [1, 0, 0] },
			],
			left: 0,
		});
	});

	test("where nothing was measured there is a gap", () => {
		const columns = COUNTS.columns.with(2, { name: "p95(span.duration)", unit: "nanoseconds" });
		const series = seriesOf({ ...COUNTS, columns }, { roles, step: 60_000 });
		expect(series.lines[0]?.values).toEqual([5, null, 7]);
	});

	test("a group of which nothing was measured has no line", () => {
		const columns = COUNTS.columns.with(2, { name: "p95(queue.wait)", unit: "milliseconds" });
		const rows = [
			[minute(0), "a", 5],
			[minute(0), "b", null],
		];
		const { lines } = seriesOf({ columns, rows, more: false }, { roles });
		expect(lines.map(({ name }) => name)).toEqual(["a"]);
	});

	test("the whole of the time asked about is there", () => {
		const stretch = { from: millis(-2) + 1, to: millis(4) };
		const { times } = seriesOf(COUNTS, { roles, step: 60_000, stretch });
		expect([times[0], times.at(-1), times.length]).toEqual([millis(-1), millis(3), 5]);
	});

	test("several figures of a group are told apart by their names", () => {
		const answer: Answer = {
			columns: [...COUNTS.columns, { name: "avg(duration)", unit: "nanoseconds" }],
			rows: [[minute(0), "a", 1, 2]],
			more: false,
		};
		const names = seriesOf(answer, { roles: rolesOf(answer, 2) }).lines.map(({ name }) => name);
		expect(names.sort()).toEqual(["a: avg(duration)", "a: count(spans)"]);
	});

	test("more groups than can be told apart are counted", () => {
		const rows = Array.from({ length: 40 }, (_, at) => [minute(0), `op ${at}`, at]);
		const series = seriesOf({ ...COUNTS, rows }, { roles });
		expect(series.lines).toHaveLength(MOST_LINES);
		expect(series.lines[0]?.name).toBe("op 39");
		expect(series.left).toBe(40 - MOST_LINES);
	});

	test("keep their colours when another becomes the largest", () => {
		const rows = [
			[minute(0), "a", 1],
			[minute(0), "b", 2],
		];
		const hues = (rows: (string | number)[][]) => {
			const { lines } = seriesOf({ ...COUNTS, rows }, { roles });
			return Object.fromEntries(lines.map(({ name, hue }) => [name, hue]));
		};
		expect(hues([...rows, [minute(1), "a", 9]])).toEqual(hues(rows));
	});

	test("are told in a sentence", () => {
		const told = summaryOf(seriesOf(COUNTS, { roles, step: 60_000 }), formatNumber);
		expect(told).toBe("db.query: from 0 to 7, last 7; (none): from 0 to 1, last 0");
	});

	test("an answer without times has none", () => {
		const answer: Answer = { columns: COUNTS.columns.slice(1), rows: [["a", 1]], more: false };
		expect(seriesOf(answer, { roles: rolesOf(answer) }).lines).toEqual([]);
	});
});

describe("top lists", () => {
	test("spans are called by their names, measured by their durations and lead to their traces", () => {
		expect(topOf(SPANS, rolesOf(SPANS))).toMatchObject({
			name: "duration",
			most: 9e6,
			bars: [
				{ label: "INSERT", target: undefined },
				{ label: "COMMIT", target: { traceId: "0".repeat(32), spanId: "1".repeat(16) } },
			],
		});
	});

	test("groups are called by what they are, and a single figure by all", () => {
		expect(topOf(COUNTS, rolesOf(COUNTS, 1))?.bars.map(({ label }) => label)).toEqual([
			"db.query",
			"db.query",
			"(none)",
		]);
		const answer: Answer = {
			columns: [{ name: "count()", unit: "plain" }],
			rows: [[3]],
			more: false,
		};
		expect(topOf(answer, rolesOf(answer, 1))?.bars).toMatchObject([{ label: "All", value: 3 }]);
	});

	test("without numbers there is none", () => {
		const answer: Answer = { columns: [{ name: "op", unit: "plain" }], rows: [["a"]], more: false };
		expect(topOf(answer, rolesOf(answer))).toBeUndefined();
	});
});

describe("tables", () => {
	test("are sorted by numbers and texts, and what is not there comes last", () => {
		const answer: Answer = {
			columns: [
				{ name: "n", unit: "plain" },
				{ name: "t", unit: "plain" },
			],
			rows: [
				[10, "b10"],
				[null, "b9"],
				[9, null],
			],
			more: false,
		};
		expect(sortedRows(answer, undefined)).toEqual([0, 1, 2]);
		expect(sortedRows(answer, { column: 0, descending: true })).toEqual([0, 2, 1]);
		expect(sortedRows(answer, { column: 0, descending: false })).toEqual([2, 0, 1]);
		expect(sortedRows(answer, { column: 1, descending: false })).toEqual([1, 0, 2]);
	});

	test("a column is sorted down, up and not at all, one press after the other", () => {
		const down = nextSorting(undefined, 1);
		const up = nextSorting(down, 1);
		expect([down?.descending, up?.descending, nextSorting(up, 1)]).toEqual([
			true,
			false,
			undefined,
		]);
		expect(nextSorting(up, 2)).toEqual({ column: 2, descending: true });
	});

	test("are written as CSV with quotes where they are needed", () => {
		const answer: Answer = {
			columns: [{ name: "a,b", unit: "plain" }],
			rows: [['say "hi"'], [null], ["two\nlines"], [5]],
			more: false,
		};
		expect(csvOf(answer, [3, 0, 1, 2])).toBe('"a,b"\r\n5\r\n"say ""hi"""\r\n\r\n"two\nlines"\r\n');
	});

	test("have no formulas in their CSV, whatever a span is called", () => {
		const answer: Answer = {
			columns: [{ name: "=name", unit: "plain" }],
			rows: [['=HYPERLINK("x")'], ["+1+1"], ["-a"], ["@sum"], ["\t=1"], [-5], ["-5.25"], ["a=b"]],
			more: false,
		};
		expect(csvOf(answer, [...answer.rows.keys()]).split("\r\n")).toEqual([
			"'=name",
			`"'=HYPERLINK(""x"")"`,
			"'+1+1",
			"'-a",
			"'@sum",
			"'\t=1",
			"-5",
			"-5.25",
			"a=b",
			"",
		]);
	});
});

describe("links", () => {
	test("only what is an id leads anywhere", () => {
		expect(linkOfCell(SPANS, 0, 3)).toEqual({
			kind: "trace",
			traceId: "0".repeat(32),
			spanId: "1".repeat(16),
		});
		expect(linkOfCell(SPANS, 1, 3)).toBeUndefined();
		expect(linkOfCell(SPANS, 0, 2)).toBeUndefined();
		const builds: Answer = {
			columns: [{ name: "event.sessionId", unit: "plain" }],
			rows: [["8151b6df-fd06-4d0f-9a5e-59684c8e2bbe"], ["../../evil"]],
			more: false,
		};
		expect(linkOfCell(builds, 0, 0)?.kind).toBe("build");
		expect(linkOfCell(builds, 1, 0)).toBeUndefined();
	});
});

describe("stretches of time", () => {
	const at = (day: number, hour: number, second = 0) =>
		new Date(2026, 0, day, hour, 0, second).getTime();

	test("are told as exactly as it takes, and with the day where it is not today", () => {
		const now = at(31, 12);
		expect(formatSpan(at(31, 9), at(31, 9, 1), now)).toBe("09:00:00.000 – 09:00:01.000");
		expect(formatSpan(at(31, 9), at(31, 11), now)).toBe("09:00:00 – 11:00:00");
		expect(formatSpan(at(30, 9), at(31, 11), now)).toBe("30 Jan, 09:00 – 31 Jan, 11:00");
		expect(formatSpan(at(30, 9), at(30, 11), now)).toBe("30 Jan, 09:00 – 11:00:00");
	});
});

describe("values", () => {
	test("are written by their unit", () => {
		expect(formatValue(0.0123, "share")).toBe("1.23%");
		expect(formatValue(1_234_567, "plain")).toBe("1,234,567");
		expect(formatValue(1500, "milliseconds")).toBe("1.5\u00a0s");
		expect(formatValue("12345678901234567890", "plain")).toBe("12345678901234567890");
		expect(formatValue(null, "plain")).toBe("–");
		expect(formatValue("007", "plain")).toBe("007");
	});
});
