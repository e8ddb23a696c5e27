/** The design's colours for what is painted on a canvas, read again when the theme changes. */

import { useMemo, useSyncExternalStore } from "react";
import { useTheme } from "../app/theme";
import { tokenColour } from "../ui";

const dark = matchMedia("(prefers-color-scheme: dark)");

function watch(watcher: () => void): () => void {
	dark.addEventListener("change", watcher);
	return () => dark.removeEventListener("change", watcher);
}

const HUES = 8;

/** The token of a line's colour. Beyond eight lines hues come again, and the line is dashed. */
export const hueOfLine = (hue: number): `--cat-${number}` => `--cat-${(hue % HUES) + 1}`;

export const isDashed = (hue: number) => hue >= HUES;

export type Palette = {
	text: string;
	grid: string;
	accent: string;
	lines: string[];
};

/** The colours of the theme that holds now. */
export function usePalette(): Palette {
	const theme = useTheme();
	const isDark = useSyncExternalStore(watch, () => dark.matches);
	// biome-ignore lint/correctness/useExhaustiveDependencies: they say when colours have changed
	return useMemo(
		() => ({
			text: tokenColour("--text-2"),
			grid: tokenColour("--line"),
			accent: tokenColour("--accent"),
			lines: Array.from({ length: HUES }, (_, at) => tokenColour(hueOfLine(at))),
		}),
		[theme, isDark],
	);
}
