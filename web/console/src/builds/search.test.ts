import { expect, test } from "vitest";
import type { BuildRow } from "../api/types";
import { parseSearch, stringifySearch } from "../app/search";
import { matches, mayBeId } from "./match";
import { validateSearch } from "./search";

const build: BuildRow = {
	sessionId: "995872a4-b9d8-4417-805d-9fcc44a823be",
	buildId: "aca75869-dfba-41bb-89b1-df36cb86d846",
	commandId: "341745b0-a255-4f34-9f9b-4478e9e267f1",
	projectId: "6b69b3ba-2f02-4785-883a-fdfeb5efce5a",
	projectName: "Web shop",
	operationType: "initial-build",
	agentId: "steps",
	runnerId: "local",
	status: "failed",
	final: true,
	incomplete: false,
	errorMessage: 'step "test" ended with exit code 3',
	exitCode: 3,
	traceId: "1c4784a499679acf118a8d824e25e3a8",
	lastSeq: 26,
	summary: null,
	startedAt: "2026-11-30T15:12:32.948Z",
	endedAt: "2026-11-30T15:12:35.019Z",
};

test("filters survive the way through the address", () => {
	const search = { status: "failed", project: "web-shop", q: 'exit "3" & 100 % = ünfug' } as const;
	expect(validateSearch(parseSearch(stringifySearch(search)))).toEqual(search);
});

test("words that look like numbers or truth stay words", () => {
	expect(validateSearch(parseSearch("?q=123"))).toEqual({ q: "123" });
	expect(validateSearch(parseSearch("?q=true"))).toEqual({ q: "true" });
});

test("what an address says wrongly, or not at all, is left out", () => {
	expect(validateSearch(parseSearch("?status=sleeping&q=&other=1"))).toEqual({});
	expect(stringifySearch({ status: undefined, q: "" })).toBe("");
});

test("a build is found by all the words that its row shows", () => {
	expect(matches(build, "SHOP exit")).toBe(true);
	expect(matches(build, "local 1c4784a4")).toBe(true);
	expect(matches(build, "shop pigeon")).toBe(false);
	expect(matches(build, "  ")).toBe(true);
	expect(matches(build, "995")).toBe(false);
});

test("ids of builds and traces are told from words", () => {
	expect(mayBeId(` ${build.sessionId}`)).toBe(true);
	expect(mayBeId("1c4784a499679acf118a8d824e25e3a8")).toBe(true);
	expect(mayBeId("1c4784a4")).toBe(false);
	expect(mayBeId("deadbeef-make")).toBe(false);
});
