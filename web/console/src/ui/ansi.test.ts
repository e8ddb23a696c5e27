import { describe, expect, test } from "vitest";
import { AnsiReader, parseAnsi } from "./ansi";

const ESC = "\u001b";

function looks(raw: string): [string, string][] {
	const { text, runs } = parseAnsi(raw);
	return runs.map(({ start, end, look }) => [text.slice(start, end), look]);
}

describe("text for a terminal", () => {
	test("keeps its words and tells where colours begin and end", () => {
		const raw = `a ${ESC}[1;31mred${ESC}[0m ${ESC}[42mon green${ESC}[49m b`;
		expect(parseAnsi(raw).text).toBe("a red on green b");
		expect(looks(raw)).toEqual([
			["red", "bold red"],
			["on green", "on-green"],
		]);
	});

	test("of 256 and 24 bit colours becomes the nearest that the theme has", () => {
		expect(looks(`${ESC}[38;5;196mA${ESC}[38;2;20;200;210mB${ESC}[38;5;240mC`)).toEqual([
			["A", "red"],
			["B", "cyan"],
			["C", "black"],
		]);
	});

	test("after an extended colour goes on with the codes that follow it", () => {
		expect(looks(`${ESC}[38;5;2;1mA`)).toEqual([["A", "bold green"]]);
	});

	test("loses titles, links, cursor movements and stray controls, and nothing else", () => {
		const link = `${ESC}]8;;https://example.org\u0007words${ESC}]8;;${ESC}\\`;
		expect(
			parseAnsi(`${ESC}]0;title\u0007${link}${ESC}[2K${ESC}[1A${ESC}(B\u0007!\u0000`).text,
		).toBe("words!");
	});

	test("is not swallowed by a sequence that never ends", () => {
		expect(parseAnsi(`${ESC}]0;title\nnext`).text).toBe("\nnext");
		expect(parseAnsi(`x${ESC}[`).text).toBe("x");
		expect(parseAnsi(`x${ESC}`).text).toBe("x");
	});

	test("shows of a progress bar what it showed last", () => {
		expect(parseAnsi("10 %\r20 %\r30 %").text).toBe("30 %");
		expect(parseAnsi("done\r\nnext\r").text).toBe("done\nnext");
		expect(looks(`keep\n${ESC}[31mold${ESC}[0m old\r${ESC}[32mnew`)).toEqual([["new", "green"]]);
	});

	test("stays text, whatever it looks like", () => {
		const markup = "<script>alert(1)</script>";
		expect(parseAnsi(markup)).toEqual({ text: markup, runs: [] });
	});

	test("is read to its end when a progress bar follows megabytes of it", () => {
		const log = "a line of a log that goes on and on\n".repeat(140_000);
		const bar = Array.from({ length: 50_000 }, (_, at) => `\r${ESC}[32m${at} of 50000${ESC}[0m`);
		const { text, runs } = parseAnsi(log + bar.join(""));
		expect(text === `${log}49999 of 50000`).toBe(true);
		expect(runs).toEqual([{ start: log.length, end: text.length, look: "green" }]);
	});

	test("says the same when it is read in pieces, wherever they are cut", () => {
		const raw = `a${ESC}[1;31mred\nold${ESC}[0m\rnew ${ESC}]0;title\u0007${ESC}[48;5;2mend`;
		for (const characters of [1, 2, 3, 7]) {
			const reader = new AnsiReader(raw);
			while (reader.read(characters));
			expect(reader.soFar()).toEqual(parseAnsi(raw));
		}
	});
});
