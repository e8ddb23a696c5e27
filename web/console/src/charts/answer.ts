/** An answer to a question, as the server gives it, and what its columns are for. */

/** What a column's numbers are. `bucket` is the time of a series. */
export type Unit = "plain" | "nanoseconds" | "milliseconds" | "share" | "time" | "bucket";

/** Whole numbers beyond 53 bits are texts. */
export type Value = string | number | boolean | null;

export type Column = { name: string; unit: Unit };

export type Answer = {
	columns: readonly Column[];
	rows: readonly (readonly Value[])[];
	/** Whether there are more rows than these. */
	more: boolean;
};

/** What the columns of an answer are for, by their places. */
export type Roles = {
	/** When it was. */
	time: number | undefined;
	/** What tells rows of one time from each other. */
	groups: number[];
	/** What was counted or measured. */
	figures: number[];
};

/**
 * The columns' roles. An answer to a question that asked for figures has them last; of any other, such as one to SQL,
 * figures are what has numbers.
 */
export function rolesOf(answer: Answer, figureCount = 0): Roles {
	const { columns } = answer;
	const bucket = columns.findIndex(({ unit }) => unit === "bucket");
	const time = bucket >= 0 ? bucket : columns.findIndex(({ unit }) => unit === "time");
	const isFigure = (at: number) =>
		figureCount > 0 ? at >= columns.length - figureCount : isOfNumbers(answer, at);
	const others = columns.map((_, at) => at).filter((at) => at !== time);
	return {
		time: time < 0 ? undefined : time,
		groups: others.filter((at) => !isFigure(at)),
		figures: others.filter(isFigure),
	};
}

/** Whether a column has numbers to draw. */
export function isOfNumbers({ columns, rows }: Answer, at: number): boolean {
	const unit = columns[at]?.unit;
	if (unit === "time" || unit === "bucket") return false;
	if (unit !== "plain") return true;
	const some = rows.find((row) => row[at] !== null && row[at] !== undefined);
	return typeof some?.[at] === "number";
}

/** A value as a number; none if it is none. */
export function numberOf(value: Value | undefined): number | null {
	if (typeof value === "number") return value;
	if (typeof value !== "string" || value.trim() === "") return null;
	const number = Number(value);
	return Number.isFinite(number) ? number : null;
}

/** A time in milliseconds since 1970; none if it is none. */
export function millisOf(value: Value | undefined): number | null {
	const millis = typeof value === "string" ? Date.parse(value) : Number.NaN;
	return Number.isNaN(millis) ? null : millis;
}

/** What a group is called: its values, one after the other. */
export function groupName(row: readonly Value[], groups: readonly number[]): string {
	return groups.map((at) => labelOf(row[at])).join(" · ");
}

/** A value as a label; what is not there is said so. */
export function labelOf(value: Value | undefined): string {
	if (value === null || value === undefined) return "(none)";
	return value === "" ? "(empty)" : String(value);
}
