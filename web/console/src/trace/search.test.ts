import { expect, test } from "vitest";
import { parseSearch, stringifySearch } from "../app/search";
import { searchOf, validateSearch, viewOf } from "./search";

const view = {
	query: "INSERT notes",
	filter: { services: ["hopline-runner", "a,b\\c"], ops: ["", "db.query"], errors: true },
};

test("what is searched and filtered for stands in the address and comes back from it", () => {
	const address = stringifySearch({ ...searchOf(view), span: "00f067aa0ba902b7" });
	const read = validateSearch(parseSearch(address));
	expect(viewOf(read)).toEqual(view);
	expect(read.span).toBe("00f067aa0ba902b7");
});

test("a plain view leaves the address empty", () => {
	const plain = { query: "", filter: { services: [], ops: [], errors: false } };
	expect(stringifySearch(searchOf(plain))).toBe("");
	expect(viewOf(validateSearch({}))).toEqual(plain);
});
