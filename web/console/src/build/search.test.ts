import { expect, test } from "vitest";
import { validateSearch } from "./search";

test("an address says tab, tool call, event and span; what makes no sense is left out", () => {
	const whole = { tab: "path", tool: "call 1", event: "42", span: "ab" };
	expect(validateSearch(whole)).toEqual(whole);
	expect(validateSearch({ tab: "nowhere", tool: "", event: "-1", span: 7 })).toEqual({});
	expect(validateSearch({ event: "1e3" })).toEqual({});
});
