import { describe, expect, test } from "vitest";
import { findAttributes, groupAttributes, type KeyValue, plainValue, valueText } from "./span";

const text = (key: string, stringValue = "x"): KeyValue => ({ key, value: { stringValue } });

describe("values of attributes", () => {
	test("are what JSON would say", () => {
		expect(plainValue({ intValue: "42" })).toBe(42);
		expect(plainValue({ boolValue: false })).toBe(false);
		expect(plainValue({ doubleValue: 1.5 })).toBe(1.5);
		expect(plainValue({ arrayValue: { values: [{ stringValue: "a" }, { intValue: 1 }] } })).toEqual(
			["a", 1],
		);
		expect(plainValue({ kvlistValue: { values: [text("k", "v")] } })).toEqual({ k: "v" });
		expect(plainValue({})).toBeNull();
		expect(plainValue(undefined)).toBeNull();
	});

	test("keep all digits of numbers beyond 53 bits", () => {
		expect(plainValue({ intValue: "9223372036854775807" })).toBe("9223372036854775807");
	});

	test("that hold JSON are written on lines of their own, and others as they are", () => {
		expect(valueText({ stringValue: '{"a":1}' })).toBe('{\n  "a": 1\n}');
		expect(valueText({ stringValue: "{not json" })).toBe("{not json");
		expect(valueText({ arrayValue: { values: [{ stringValue: "cargo" }] } })).toBe('["cargo"]');
	});
});

describe("attributes", () => {
	const attributes = [text("zebra"), text("db.system.name"), text("event.seq", "7"), text("db.a")];

	test("stand in groups by what they are about, the hop's own first", () => {
		expect(groupAttributes(attributes).map(({ prefix }) => prefix)).toEqual(["event", "db", ""]);
		expect(groupAttributes(attributes)[1]?.attributes.map(({ key }) => key)).toEqual([
			"db.a",
			"db.system.name",
		]);
	});

	test("are found by key and value", () => {
		expect(findAttributes(attributes, "SEQ 7").map(({ key }) => key)).toEqual(["event.seq"]);
		expect(findAttributes(attributes, "")).toHaveLength(4);
	});
});
