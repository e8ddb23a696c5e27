/** From an answer's rows to the lines of a chart. */

import { type Answer, groupName, millisOf, numberOf, type Roles, type Unit } from "./answer";

export type Line = {
	name: string;
	unit: Unit;
	/** Which colour it has: the same as long as the lines have the same names, whatever their values. */
	hue: number;
	/** One for each of the series' times; none where nothing is known. */
	values: (number | null)[];
};

export type Series = {
	/** Milliseconds since 1970, rising. */
	times: number[];
	lines: Line[];
	/** How many groups have no line, since nobody could tell so many apart. */
	left: number;
};

/** A stretch of time in milliseconds since 1970. */
export type Stretch = { from: number; to: number };

/** As many lines as can be told apart: eight hues, drawn through and dashed. */
export const MOST_LINES = 16;

/** Times are filled in up to so many: beyond, gaps are shorter than a pixel. */
const MOST_TIMES = 4_000;

export type SeriesOptions = {
	roles: Roles;
	/** How long a bucket is, in milliseconds, where the question says so. */
	step?: number | undefined;
	/** Which time was asked about, so that what is empty of it is seen to be. */
	stretch?: Stretch | undefined;
};

/** The lines: one for each figure of each group, the largest first. */
export function seriesOf(answer: Answer, { roles, step, stretch }: SeriesOptions): Series {
	const { time, groups, figures } = roles;
	if (time === undefined) return { times: [], lines: [], left: 0 };
	const points = answer.rows.flatMap((row) => {
		const at = millisOf(row[time]);
		return at === null ? [] : [{ at, group: groupName(row, groups), row }];
	});
	const times = filled(
		points.map(({ at }) => at),
		step,
		stretch,
	);
	const placeOf = new Map(times.map((at, place) => [at, place]));
	const lines = new Map<string, Line>();
	for (const { at, group, row } of points) {
		for (const figure of figures) {
			const column = answer.columns[figure];
			if (!column) continue;
			const name = lineName(group, figures.length > 1 || groups.length === 0 ? column.name : "");
			let line = lines.get(name);
			if (!line) {
				const values = new Array<number | null>(times.length).fill(emptyOf(column.name));
				line = { name, unit: column.unit, hue: 0, values };
				lines.set(name, line);
			}
			line.values[placeOf.get(at) ?? 0] = numberOf(row[figure]);
		}
	}
	const all = [...lines.values()].filter(({ values }) => values.some((value) => value !== null));
	const ranked = groups.length === 0 ? all : bySize(all);
	const left = Math.max(0, all.length - MOST_LINES);
	return { times, lines: coloured(ranked.slice(0, MOST_LINES)), left };
}

function coloured(lines: Line[]): Line[] {
	const names = lines.map(({ name }) => name).sort();
	return lines.map((line) => ({ ...line, hue: names.indexOf(line.name) }));
}

function lineName(group: string, figure: string): string {
	return group && figure ? `${group}: ${figure}` : group || figure;
}

/** What a bucket without spans is worth: nothing was counted there, but nothing was measured either. */
function emptyOf(figure: string): number | null {
	return /^(count|sum)\s*\(/i.test(figure) ? 0 : null;
}

/** The largest first. Counts and times cannot be compared with each other, but their shares of the largest of each can. */
function bySize(lines: Line[]): Line[] {
	const most = new Map<Unit, number>();
	for (const line of lines) {
		most.set(line.unit, Math.max(most.get(line.unit) ?? 0, totalOf(line)));
	}
	const share = (line: Line) => totalOf(line) / (most.get(line.unit) || 1);
	return lines.toSorted((a, b) => share(b) - share(a));
}

function totalOf({ values }: Line): number {
	return values.reduce<number>((total, value) => total + Math.abs(value ?? 0), 0);
}

/** The times at which there is something, and those between them and around them at which there is not. */
function filled(seen: number[], step: number | undefined, stretch: Stretch | undefined): number[] {
	const times = [...new Set(seen)].sort((a, b) => a - b);
	const [first] = times;
	const last = times.at(-1);
	if (first === undefined || last === undefined || !step) return times;
	// Buckets begin at whole multiples of their length.
	const from = stretch ? Math.min(first, Math.ceil(stretch.from / step) * step) : first;
	const to = stretch ? Math.max(last, Math.floor((stretch.to - 1) / step) * step) : last;
	if ((to - from) / step > MOST_TIMES) return times;
	const all = new Set(times);
	for (let at = from; at <= to; at += step) all.add(at);
	return [...all].sort((a, b) => a - b);
}

/** The lines as a table: a row for each time. */
export function tableOf({ times, lines }: Series): Answer {
	return {
		columns: [{ name: "time", unit: "bucket" }, ...lines.map(({ name, unit }) => ({ name, unit }))],
		rows: times.map((at, place) => [
			new Date(at).toISOString(),
			...lines.map(({ values }) => values[place] ?? null),
		]),
		more: false,
	};
}

/** What a chart shows, in a sentence, for those who do not see it. */
export function summaryOf(series: Series, format: (value: number, unit: Unit) => string): string {
	const told = series.lines.slice(0, 4).map(({ name, unit, values }) => {
		const known = values.filter((value) => value !== null);
		if (known.length === 0) return `${name}: nothing`;
		const [low, high] = [Math.min(...known), Math.max(...known)];
		const last = known.at(-1) ?? high;
		return `${name}: from ${format(low, unit)} to ${format(high, unit)}, last ${format(last, unit)}`;
	});
	const rest = series.lines.length - told.length + series.left;
	return [...told, ...(rest > 0 ? [`and ${rest} more`] : [])].join("; ");
}
