/** Reads the design's colours for what is painted by scripts, such as canvases and charts. */

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
