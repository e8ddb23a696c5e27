import { expect, test } from "vitest";
import { ServerClock } from "./clock.js";

const SERVER = Date.parse("2026-11-30T15:00:00.000Z");
const DAY = 86_400_000;

function iso(at: number): string {
	return new Date(at).toISOString();
}

test("a clock a day off is measured to within the round trip, by the quickest answer", () => {
	const clock = new ServerClock();
	expect([clock.isKnown, clock.offset]).toEqual([false, 0]);
	const here = SERVER + DAY;
	clock.note(here, here + 400, iso(SERVER + 390));
	clock.note(here + 1_000, here + 1_004, iso(SERVER + 1_002));
	clock.note(here + 2_000, here + 2_900, iso(SERVER + 2_010));
	expect(clock.isKnown).toBe(true);
	expect(Math.abs(clock.offset - DAY)).toBeLessThan(1);
});

test("a difference that measuring cannot tell from none is none", () => {
	const clock = new ServerClock();
	clock.note(SERVER, SERVER + 80, iso(SERVER + 70));
	expect(clock.offset).toBe(0);
	clock.note(SERVER, SERVER + 80, "nonsense");
	expect(clock.offset).toBe(0);
});

test("after a new connection the first answer counts, however slow", () => {
	const clock = new ServerClock();
	clock.note(SERVER, SERVER + 1, iso(SERVER));
	clock.restart();
	expect(clock.isKnown).toBe(true);
	const here = SERVER - DAY;
	clock.note(here, here + 100, iso(SERVER + 50));
	expect(Math.abs(clock.offset + DAY)).toBeLessThan(51);
});
