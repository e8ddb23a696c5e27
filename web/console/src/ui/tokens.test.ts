import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const css = readFileSync(new URL("./tokens.css", import.meta.url), "utf8");

function themes(): [string, Record<string, string>][] {
	const pairs = [...css.matchAll(/(--[\w-]+): (?:light-dark\((#\w{6}), (#\w{6})\)|(#\w{6}));/g)];
	const pick = (group: 2 | 3) =>
		Object.fromEntries(pairs.map((pair) => [pair[1] ?? "", pair[group] ?? pair[4] ?? ""]));
	return [
		["light", pick(2)],
		["dark", pick(3)],
	];
}

/** The contrast of two colours as WCAG 2.2 defines it. */
function contrast(a = "", b = ""): number {
	const [lighter = 0, darker = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
	return (lighter + 0.05) / (darker + 0.05);
}

function luminance(hex: string): number {
	const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
		const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
		return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
	});
	return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

const grounds = ["--bg", "--surface", "--surface-2"];
const texts = ["--text", "--text-2", "--text-3", "--accent", "--ok", "--error", "--warn"];
const terminal = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
const pairs: [string, string][] = [
	...[...texts, ...terminal.map((name) => `--ansi-${name}`)].flatMap((text) =>
		grounds.map((ground): [string, string] => [text, ground]),
	),
	["--text", "--surface-3"],
	["--text-2", "--surface-3"],
	["--text", "--accent-soft"],
	["--accent", "--accent-soft"],
	["--ok", "--ok-soft"],
	["--error", "--error-soft"],
	["--warn", "--warn-soft"],
	["--on-accent", "--accent"],
	["--on-accent", "--accent-strong"],
	["--on-error", "--error"],
	["--on-error", "--error-strong"],
	["--on-mark", "--mark"],
	["--on-mark", "--mark-current"],
	...[1, 2, 3, 4, 5, 6, 7, 8].flatMap((hue): [string, string][] => [
		["--on-cat", `--cat-${hue}`],
		[`--cat-${hue}`, "--surface"],
	]),
];

describe.each(themes())("in the %s theme", (_name, colours) => {
	test.each(pairs)("%s can be read on %s", (text, ground) => {
		expect(contrast(colours[text], colours[ground])).toBeGreaterThanOrEqual(4.5);
	});
});
