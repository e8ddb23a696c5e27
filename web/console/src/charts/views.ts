/** How an answer is shown. */
export const VIEWS = ["table", "series", "top", "heat", "number"] as const;

export type View = (typeof VIEWS)[number];

export const VIEW_NAMES: Record<View, string> = {
	table: "Table",
	series: "Time series",
	top: "Top list",
	heat: "Heat map",
	number: "Number",
};
