import { expect, test } from "vitest";
import { readCarrier } from "./carrier.js";

const IDS = `${"a".repeat(32)}-${"b".repeat(16)}`;

test("a recorded trace is read, with what its head has drawn", () => {
	const baggage =
		"other=x, sentry-trace_id=t;p=1 , sentry-transaction=POST%20%2Fapi,sentry-odd=%E0%A4%A";
	expect(readCarrier({ trace: `${IDS}-1`, baggage })).toEqual({
		traceId: "a".repeat(32),
		spanId: "b".repeat(16),
		samplingContext: { trace_id: "t", transaction: "POST /api", odd: "%E0%A4%A" },
	});
});

test("a trace that is not recorded, and a malformed one, are none", () => {
	const malformed = [
		"",
		"nonsense",
		`${IDS}-2`,
		`${IDS}-1-1`,
		`${"0".repeat(32)}-${"b".repeat(16)}-1`,
	];
	for (const trace of [`${IDS}-0`, ...malformed]) expect(readCarrier({ trace })).toBeUndefined();
	expect(readCarrier(undefined)).toBeUndefined();
});

test("a decision that is still open is made by what the head has drawn", () => {
	const drawn = (rand: string) => ({
		trace: IDS,
		baggage: `sentry-sample_rand=${rand},sentry-sample_rate=0.5`,
	});
	expect(readCarrier(drawn("0.499999"))).toBeDefined();
	expect(readCarrier(drawn("0.5"))).toBeUndefined();
	expect(readCarrier({ trace: IDS })).toBeDefined();
	expect(readCarrier({ trace: IDS, baggage: "sentry-sampled=false" })).toBeUndefined();
});
