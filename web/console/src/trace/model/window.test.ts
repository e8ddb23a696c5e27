import { describe, expect, test } from "vitest";
import { ticks } from "./axis";
import { oneLine } from "./text";
import { clampWindow, growingEnd, isWhole, panBy, scrollTo, zoomBy, zoomTo } from "./window";

const total = 1e9;

describe("the stretch in view", () => {
	test("zooming leaves the moment under the pointer where it is", () => {
		const zoomed = zoomBy({ from: 0, to: total }, 0.5, 250e6, total);
		expect(zoomed).toEqual({ from: 125e6, to: 625e6 });
		expect((250e6 - zoomed.from) / (zoomed.to - zoomed.from)).toBeCloseTo(0.25);
	});

	test("zooming out ends at the whole, zooming in where clocks are no finer", () => {
		expect(zoomBy({ from: 400e6, to: 600e6 }, 100, 500e6, total)).toEqual({ from: 0, to: total });
		const closest = zoomBy({ from: 0, to: 2000 }, 1e-9, 1000, total);
		expect(closest.to - closest.from).toBe(1000);
	});

	test("panning keeps the length and stops at the ends", () => {
		expect(panBy({ from: 100, to: 1e6 + 100 }, -1e9, total)).toEqual({ from: 0, to: 1e6 });
		expect(panBy({ from: 0, to: 1e6 }, 1e12, total)).toEqual({ from: total - 1e6, to: total });
	});

	test("a chosen stretch that is empty or outside is brought inside", () => {
		expect(clampWindow({ from: 5e8, to: 5e8 }, total).to).toBeGreaterThan(5e8);
		expect(clampWindow({ from: -5, to: 2 * total }, total)).toEqual({ from: 0, to: total });
		expect(clampWindow({ from: 0, to: 0 }, 10)).toEqual({ from: 0, to: 10 });
	});

	test("zooming to a span leaves air around it", () => {
		const { from, to } = zoomTo({ from: 100e6, to: 200e6 }, total);
		expect(from).toBe(92e6);
		expect(to).toBe(208e6);
		expect(isWhole(zoomTo({ from: 0, to: total }, total), total)).toBe(true);
	});

	test("a span in view moves nothing, one out of view comes in", () => {
		const window = { from: 0, to: 100e6 };
		expect(scrollTo(window, { from: 50e6, to: 60e6 }, total)).toBe(window);
		expect(scrollTo(window, { from: 500e6, to: 510e6 }, total)).toEqual({ from: 490e6, to: 590e6 });
	});

	test("the end of a growing trace moves in steps, always beyond now", () => {
		const ends = Array.from({ length: 1000 }, (_, at) => growingEnd((10 + at / 100) * 1e9));
		ends.forEach((end, at) => {
			expect(end).toBeGreaterThan((10 + at / 100) * 1e9);
		});
		expect(new Set(ends).size).toBeLessThan(12);
		expect(growingEnd(0)).toBeGreaterThan(0);
	});
});

describe("the time axis", () => {
	const labels = (from: number, to: number, width = 1000) =>
		ticks({ from, to }, width).map(({ label }) => label.replace("\u00a0", " "));

	test("has round marks with as many digits as they need", () => {
		expect(labels(0, 1e9)).toEqual([
			"0",
			"0.1 s",
			"0.2 s",
			"0.3 s",
			"0.4 s",
			"0.5 s",
			"0.6 s",
			"0.7 s",
			"0.8 s",
			"0.9 s",
			"1.0 s",
		]);
		expect(labels(0, 10e6).slice(0, 3)).toEqual(["0", "1 ms", "2 ms"]);
		expect(labels(1.5e9, 1.5e9 + 10_000).slice(0, 2)).toEqual(["1.500000 s", "1.500001 s"]);
	});

	test("counts minutes and hours as clocks do", () => {
		expect(labels(0, 600e9).slice(0, 3)).toEqual(["0", "1:00", "2:00"]);
		expect(labels(0, 3 * 3600e9)).toContain("1:30:00");
	});

	test("has no marks where there is no room or no time", () => {
		expect(ticks({ from: 0, to: 0 }, 1000)).toEqual([]);
		expect(ticks({ from: 0, to: 10 }, 0)).toEqual([]);
	});
});

describe("names on one line", () => {
	test("long ones are cut, whatever their length", () => {
		expect(oneLine("x".repeat(10 * 1024 * 1024))).toHaveLength(200);
		expect(oneLine("short")).toBe("short");
	});

	test("line breaks are blanks, and marks that cannot be seen can be", () => {
		expect(oneLine("a\nb\tc")).toBe("a b c");
		expect(oneLine("user\u202egnp.exe")).toBe("user\ufffdgnp.exe");
		expect(oneLine("nul\u0000")).toBe("nul\ufffd");
	});

	test("no character is halved by the cut", () => {
		expect(oneLine("😀".repeat(300))).toMatch(/^(😀)+…$/u);
		expect(oneLine(`x${"😀".repeat(300)}`)).toMatch(/^x(😀)+…$/u);
	});
});
