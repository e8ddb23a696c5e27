/** The theme's colours for canvases, which do not know custom properties. */
import { useEffect, useState } from "react";
import type { Colour, Palette } from "./minimap";

const NAMES = ["--error", ...Array.from({ length: 8 }, (_, at) => `--cat-${at + 1}`)];

export function readPalette(element: Element, context: CanvasRenderingContext2D): Palette {
	const style = getComputedStyle(element);
	return { hues: NAMES.map((name) => asColour(style.getPropertyValue(name).trim(), context)) };
}

/** A canvas tells any colour that CSS knows as #rrggbb, if it is opaque. */
function asColour(css: string, context: CanvasRenderingContext2D): Colour {
	context.fillStyle = "#808080";
	context.fillStyle = css;
	const value = Number.parseInt(context.fillStyle.slice(1), 16);
	return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

/** A number that changes with the theme. */
export function useThemeVersion(): number {
	const [version, setVersion] = useState(0);
	useEffect(() => {
		const changed = () => setVersion((version) => version + 1);
		const observer = new MutationObserver(changed);
		observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
		const system = matchMedia("(prefers-color-scheme: dark)");
		system.addEventListener("change", changed);
		return () => {
			observer.disconnect();
			system.removeEventListener("change", changed);
		};
	}, []);
	return version;
}
