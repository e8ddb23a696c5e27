/**
 * Lines over time, by uPlot: drawn on a canvas, with the cursor's values beside it and a stretch of time to be selected.
 *
 * uPlot sets its styles through the DOM, which a strict Content-Security-Policy allows; its style sheet is part of the build.
 */

import "uplot/dist/uPlot.min.css";
import { useEffect, useEffectEvent, useState } from "react";
import uPlot from "uplot";
import { useSize } from "../ui";
import type { Unit } from "./answer";
import { isDashed, type Palette, usePalette } from "./colours";
import styles from "./lines.module.css";
import { type Reading, Readout } from "./Readout";
import type { Line, Series, Stretch } from "./series";
import { timeLabels } from "./timeAxis";
import { formatShort } from "./values";

export type LineChartProps = {
	series: Series;
	/** Names of lines that are not drawn. */
	hidden: ReadonlySet<string>;
	/** The name of the line that stands out, if one does. */
	lit: string | undefined;
	/** Which time is shown; else from the first to the last. */
	stretch?: Stretch | undefined;
	onStretch?: ((stretch: Stretch) => void) | undefined;
	/** What the chart shows, in words. */
	label: string;
};

const FONT_SIZE = 11;

export function LineChart({ series, hidden, lit, stretch, onStretch, label }: LineChartProps) {
	const [frame, setFrame] = useState<HTMLDivElement | null>(null);
	const [chart, setChart] = useState<uPlot>();
	const size = useSize(frame);
	const palette = usePalette();
	const [reading, setReading] = useState<Reading>();
	const select = useEffectEvent((chosen: Stretch) => onStretch?.(chosen));
	const { times, lines } = series;
	const shape = lines.map(({ name, unit, hue }) => `${hue} ${unit} ${name}`).join("\n");
	const isSized = size.width > 0 && size.height > 0;

	// biome-ignore lint/correctness/useExhaustiveDependencies: of the lines only their shape needs another chart, and of the size that there is one
	useEffect(() => {
		if (!frame || !isSized) return;
		const made = new uPlot(
			{
				...optionsOf(lines, palette),
				width: frame.clientWidth,
				height: frame.clientHeight,
				hooks: {
					setCursor: [(chart) => setReading(readingAt(chart))],
					setSelect: [
						(chart) => {
							const { left, width } = chart.select;
							if (width < 2) return;
							const at = (place: number) => Math.round(chart.posToVal(place, "x") * 1000);
							chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
							select({ from: at(left), to: at(left + width) });
						},
					],
				},
			},
			dataOf(times, lines),
			frame,
		);
		setChart(made);
		return () => {
			setChart(undefined);
			made.destroy();
		};
	}, [shape, palette, frame, isSized]);

	useEffect(() => {
		if (!chart) return;
		const [first = 0, last = 0] = [times[0], times.at(-1)];
		// The first bucket began before the time that was asked about.
		const [from, to] = [Math.min(stretch?.from ?? first, first), stretch?.to ?? last];
		chart.batch(() => {
			chart.setData(dataOf(times, lines), false);
			// A single time has a little room around it.
			const room = to > from ? 0 : 30_000;
			chart.setScale("x", { min: (from - room) / 1000, max: (to + room) / 1000 });
		});
	}, [times, lines, stretch?.from, stretch?.to, chart]);

	useEffect(() => {
		if (isSized) chart?.setSize(size);
	}, [size, isSized, chart]);

	useEffect(() => {
		if (!chart) return;
		chart.batch(() => {
			lines.forEach(({ name }, at) => {
				chart.setSeries(at + 1, { show: !hidden.has(name) });
			});
			const at = lines.findIndex(({ name }) => name === lit);
			chart.setSeries(at < 0 ? null : at + 1, { focus: true });
		});
	}, [hidden, lit, lines, chart]);

	return (
		<div className={styles.chart} role="img" aria-label={label}>
			<div ref={setFrame} className={styles.frame} />
			{reading && <Readout reading={reading} lines={lines} times={times} hidden={hidden} />}
		</div>
	);
}

function dataOf(times: number[], lines: Line[]): uPlot.AlignedData {
	return [times.map((at) => at / 1000), ...lines.map(({ values }) => values)];
}

function readingAt(chart: uPlot): Reading | undefined {
	const { idx, left, top } = chart.cursor;
	if (idx === null || idx === undefined || left === undefined || left < 0) return undefined;
	const { offsetLeft, offsetTop, offsetWidth } = chart.over;
	const x = offsetLeft + chart.valToPos(chart.data[0]?.[idx] ?? 0, "x");
	return { at: idx, x, y: offsetTop + (top ?? 0), isRight: x > offsetLeft + offsetWidth / 2 };
}

function optionsOf(lines: Line[], palette: Palette): Omit<uPlot.Options, "width" | "height"> {
	const units = [...new Set(lines.map(({ unit }) => unit))];
	return {
		legend: { show: false },
		padding: [8, 8, 0, 0],
		focus: { alpha: 0.25 },
		cursor: { y: false, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
		scales: {
			x: { time: true, auto: false },
			...Object.fromEntries(units.map((unit) => [unit, { range: rangeOf }])),
		},
		axes: [timeAxis(palette), ...units.slice(0, 2).map((unit, at) => valueAxis(unit, at, palette))],
		series: [{}, ...lines.map((line) => lineOf(line, lines.length, palette))],
	};
}

/** From nothing, or below it, to a little above the largest. */
function rangeOf(_: uPlot, low: number | null, high: number | null): uPlot.Range.MinMax {
	if (low === null || high === null) return [0, 1];
	const least = Math.min(0, low);
	return [least, high > least ? high + (high - least) * 0.05 : least + 1];
}

function lineOf({ name, unit, hue }: Line, count: number, palette: Palette): uPlot.Series {
	const colour = palette.lines[hue % palette.lines.length] ?? palette.accent;
	return {
		label: name,
		scale: unit,
		stroke: colour,
		width: 1.5,
		...(isDashed(hue) ? { dash: [4, 3] } : {}),
		...(count === 1 ? { fill: `color-mix(in srgb, ${colour} 12%, transparent)` } : {}),
		points: { size: 4, fill: colour, stroke: colour, show: isSparse, filter: lonely },
	};
}

/** Up to so many points can be told apart on their line. */
const MOST_POINTS = 40;

const isSparse = (_: uPlot, __: number, first: number, last: number) => last - first < MOST_POINTS;

/** Points without a neighbour, which no line would show. */
function lonely(chart: uPlot, line: number, isShown: boolean): number[] | null {
	if (isShown) return null;
	const values = chart.data[line] ?? [];
	const isThere = (at: number) => values[at] !== null && values[at] !== undefined;
	return Array.from(values.keys()).filter(
		(at) => isThere(at) && !isThere(at - 1) && !isThere(at + 1),
	);
}

function axisOf(palette: Palette): uPlot.Axis {
	return {
		font: `${FONT_SIZE}px system-ui, sans-serif`,
		stroke: palette.text,
		grid: { stroke: palette.grid, width: 1 },
		ticks: { show: false },
		gap: 6,
	};
}

function timeAxis(palette: Palette): uPlot.Axis {
	return {
		...axisOf(palette),
		grid: { show: false },
		size: 24,
		space: 72,
		values: (_, marks, __, ___, apart) =>
			timeLabels(
				marks.map((at) => at * 1000),
				apart * 1000,
			),
	};
}

function valueAxis(unit: Unit, at: number, palette: Palette): uPlot.Axis {
	return {
		...axisOf(palette),
		scale: unit,
		side: at === 0 ? 3 : 1,
		grid: { show: at === 0, stroke: palette.grid, width: 1 },
		space: 32,
		values: (_, marks) => marks.map((value) => formatShort(value, unit)),
		// As wide as the longest mark.
		size: (_, marks) => 12 + Math.max(0, ...(marks ?? []).map(({ length }) => length)) * 6.2,
	};
}
