import { expect, test } from "vitest";
import type { Runner } from "../api/types";
import { arranged, clockWords } from "./view";

const runner = (id: string, link: Runner["link"], oneBuild = false): Runner => ({
	id,
	link,
	brokerUrl: null,
	status: { oneBuild },
	lastSeenAt: "2026-11-30T15:12:25.671Z",
});

test("linked runners come first, and those of runs that have ended are set apart", () => {
	const { lasting, past } = arranged([
		runner("run-1", "down", true),
		runner("b", "down"),
		runner("z", "up"),
		runner("run-2", "up", true),
		runner("a", "down"),
	]);
	expect(lasting.map(({ id }) => id)).toEqual(["run-2", "z", "a", "b"]);
	expect(past.map(({ id }) => id)).toEqual(["run-1"]);
});

test("a runner that has said nothing of itself is one that lasts", () => {
	const silent = { ...runner("old", "down"), status: null };
	expect(arranged([silent]).lasting).toEqual([silent]);
});

test("a clock's offset shows its sign, and is marked once it is wrong by a second", () => {
	const plain = (ns: number | undefined) => {
		const { words, isOff } = clockWords(ns);
		return [words.replaceAll("\u00a0", " "), isOff];
	};
	expect(plain(undefined)).toEqual(["–", false]);
	expect(plain(-1_500_000)).toEqual(["−1.5 ms", false]);
	expect(plain(86_400e9)).toEqual(["+1d 00h", true]);
});
