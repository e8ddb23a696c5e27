import { expect, test } from "vitest";
import { between, rangeName } from "./ranges";

const at = (day: number, hour: number) => new Date(2026, 0, day, hour).getTime();

test("a range is called by what is today by the clock it is told, not by this machine's", () => {
	const range = between(at(31, 9), at(31, 11));
	expect(rangeName(range, at(31, 20))).toBe("09:00:00 – 11:00:00");
	expect(rangeName(range, at(30, 20))).toBe("31 Jan, 09:00 – 11:00:00");
	expect(
		rangeName(
			{ kind: "between", from: new Date(at(31, 9)).toISOString(), to: undefined },
			at(31, 20),
		),
	).toBe("From 09:00:00");
});
