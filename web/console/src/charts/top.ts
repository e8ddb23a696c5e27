/** From an answer's rows to the bars of a top list. */

import { type Answer, groupName, labelOf, numberOf, type Roles, type Unit } from "./answer";
import { linkOf, type Target } from "./links";

export type Bar = {
	label: string;
	value: number;
	/** The other figures of the row. */
	others: { name: string; value: number | null; unit: Unit }[];
	target: Target | undefined;
};

export type TopList = {
	bars: Bar[];
	name: string;
	unit: Unit;
	/** The longest bar's value. */
	most: number;
};

/** The bars, the longest first; none where there is nothing to measure by. */
export function topOf(answer: Answer, roles: Roles): TopList | undefined {
	const figure = figureOf(answer, roles);
	const column = figure === undefined ? undefined : answer.columns[figure];
	if (figure === undefined || !column) return undefined;
	const others = roles.figures.filter((at) => at !== figure);
	const bars = answer.rows.flatMap((row, at) => {
		const value = numberOf(row[figure]);
		if (value === null) return [];
		return [
			{
				label: labelOfRow(answer, roles, at),
				value,
				others: others.map((other) => ({
					name: answer.columns[other]?.name ?? "",
					value: numberOf(row[other]),
					unit: answer.columns[other]?.unit ?? "plain",
				})),
				target: linkOf(answer, at),
			},
		];
	});
	bars.sort((a, b) => b.value - a.value);
	const most = bars.reduce((most, { value }) => Math.max(most, value), 0);
	return { bars, name: column.name, unit: column.unit, most };
}

/** Spans are measured by their duration, anything else by the first figure. */
function figureOf({ columns }: Answer, { figures }: Roles): number | undefined {
	const duration = columns.findIndex(({ name }) => name === "duration");
	return duration >= 0 && figures.includes(duration) ? duration : figures[0];
}

/** A span is called by its name, a group by what it is. */
function labelOfRow(answer: Answer, roles: Roles, at: number): string {
	const row = answer.rows[at] ?? [];
	const name = answer.columns.findIndex(({ name }) => name === "name");
	if (name >= 0 && answer.columns.some(({ name }) => name === "span_id")) return labelOf(row[name]);
	return groupName(row, roles.groups) || "All";
}
