// @vitest-environment happy-dom
import { beforeEach, expect, test } from "vitest";
import { forgetQuestions, recentQuestions, rememberQuestion } from "./history";

beforeEach(() => localStorage.clear());

test("the latest question comes first, and each is there once", () => {
	for (const question of ["a", "b", "a"]) rememberQuestion(question);
	expect(recentQuestions()).toEqual(["a", "b"]);
});

test("old ones are forgotten, and all of them on wish", () => {
	for (let at = 0; at < 50; at += 1) rememberQuestion(`question ${at}`);
	expect(recentQuestions()).toHaveLength(30);
	expect(recentQuestions()[0]).toBe("question 49");
	forgetQuestions();
	expect(recentQuestions()).toEqual([]);
});

test("what somebody else has put there does no harm", () => {
	for (const stored of ["{", "5", '[1,"spans",null]']) {
		localStorage.setItem("hopline.questions", stored);
		expect(recentQuestions()).toEqual(stored.includes("spans") ? ["spans"] : []);
	}
});
