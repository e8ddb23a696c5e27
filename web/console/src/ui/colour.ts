/** Reads the design's colours for what is painted by scripts, such as canvases and charts. */

/** How many hues there are for ops, services and series: `--cat-1` to `--cat-8`. */
const HUES = 8;

/** A token's colour as it is now, for an element that a theme holds for: `tokenColour("--accent")`. */
export function tokenColour(token: `--${string}`, within: Element = document.body): string {
	const probe = document.createElement("span");
	probe.style.color = `var(${token})`;
	probe.hidden = true;
	within.append(probe);
	const colour = getComputedStyle(probe).color;
	probe.remove();
	return colour;
}

/** The hue of a name, the same wherever and whenever it is shown. */
export function hueOf(name: string): `--cat-${number}` {
	let hash = 0x811c9dc5;
	for (const letter of name) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193);
	return `--cat-${(((hash ^ (hash >>> 15)) >>> 0) % HUES) + 1}`;
}
