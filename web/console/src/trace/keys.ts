/** The keyboard: one table of what each key does, from which keys are read and the help is written. */

export type Command =
	| "up"
	| "down"
	| "pageUp"
	| "pageDown"
	| "first"
	| "last"
	| "open"
	| "close"
	| "openBelow"
	| "closeBelow"
	| "select"
	| "search"
	| "next"
	| "previous"
	| "nextError"
	| "previousError"
	| "zoomIn"
	| "zoomOut"
	| "zoomAll"
	| "zoomSpan"
	| "panLeft"
	| "panRight"
	| "critical"
	| "help"
	| "leave";

export interface KeyLine {
	readonly command: Command;
	/** As `KeyboardEvent.key`, with "Shift+" before keys that are no characters. */
	readonly keys: readonly string[];
	readonly says: string;
	/** Only while a row has the focus: elsewhere on the page these keys mean other things. */
	readonly inRows?: true;
}

export const KEYMAP: readonly { readonly title: string; readonly lines: readonly KeyLine[] }[] = [
	{
		title: "Rows",
		lines: [
			{ command: "down", keys: ["ArrowDown", "j"], says: "Next row", inRows: true },
			{ command: "up", keys: ["ArrowUp", "k"], says: "Previous row", inRows: true },
			{
				command: "open",
				keys: ["ArrowRight"],
				says: "Open, or go to the first child",
				inRows: true,
			},
			{ command: "close", keys: ["ArrowLeft"], says: "Close, or go to the parent", inRows: true },
			{ command: "openBelow", keys: ["o"], says: "Open everything below", inRows: true },
			{ command: "closeBelow", keys: ["O"], says: "Close everything below", inRows: true },
			{ command: "pageDown", keys: ["PageDown"], says: "A page on", inRows: true },
			{ command: "pageUp", keys: ["PageUp"], says: "A page back", inRows: true },
			{ command: "first", keys: ["Home"], says: "First row", inRows: true },
			{ command: "last", keys: ["End"], says: "Last row", inRows: true },
			{ command: "select", keys: ["Enter", " "], says: "Show the span's details", inRows: true },
			{ command: "leave", keys: ["Escape"], says: "Close the details" },
		],
	},
	{
		title: "Find",
		lines: [
			{ command: "search", keys: ["/"], says: "Search" },
			{ command: "next", keys: ["n"], says: "Next match" },
			{ command: "previous", keys: ["N"], says: "Previous match" },
			{ command: "nextError", keys: ["e"], says: "Next error" },
			{ command: "previousError", keys: ["E"], says: "Previous error" },
			{ command: "critical", keys: ["c"], says: "Critical path" },
		],
	},
	{
		title: "Time",
		lines: [
			{ command: "zoomIn", keys: ["+", "="], says: "Zoom in" },
			{ command: "zoomOut", keys: ["-"], says: "Zoom out" },
			{ command: "zoomAll", keys: ["0"], says: "Show all" },
			{ command: "zoomSpan", keys: ["z"], says: "Zoom to the row" },
			{ command: "panLeft", keys: ["Shift+ArrowLeft"], says: "Earlier" },
			{ command: "panRight", keys: ["Shift+ArrowRight"], says: "Later" },
		],
	},
	{ title: "Help", lines: [{ command: "help", keys: ["?"], says: "These keys" }] },
];

export type KeyPress = Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">;

const lineOfKey = new Map(
	KEYMAP.flatMap(({ lines }) =>
		lines.flatMap((line) => line.keys.map((key) => [key, line] as const)),
	),
);

/** The command of a key, or null. With Ctrl, Alt or Meta a key is the browser's. */
export function commandOf(press: KeyPress, inRows: boolean): Command | null {
	if (press.ctrlKey || press.metaKey || press.altKey) return null;
	// A character says by itself whether Shift was held: which one needs it is the keyboard's matter.
	const shifted = press.shiftKey && press.key.length > 1;
	const line = lineOfKey.get(shifted ? `Shift+${press.key}` : press.key);
	return line && (inRows || !line.inRows) ? line.command : null;
}
