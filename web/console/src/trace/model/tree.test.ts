import { describe, expect, test } from "vitest";
import { buildTree } from "./tree";

const list = (array: ArrayLike<number>) => Array.from(array);

describe("the tree of a trace", () => {
	test("reads parents before their children, siblings by start", () => {
		const tree = buildTree([-1, 0, 0, 1, -1]);
		expect(list(tree.order)).toEqual([0, 1, 3, 2, 4]);
		expect(list(tree.depth)).toEqual([0, 1, 1, 2, 0]);
		expect(list(tree.size)).toEqual([4, 2, 1, 1, 1]);
		expect(list(tree.place)).toEqual([0, 1, 3, 2, 4]);
	});

	test("takes a parent that comes after its child", () => {
		const tree = buildTree([1, -1]);
		expect(list(tree.order)).toEqual([1, 0]);
		expect(list(tree.depth)).toEqual([1, 0]);
	});

	test("cuts parents that run in a circle once, at the earliest span", () => {
		const tree = buildTree([2, 0, 1, 1, -1]);
		expect(list(tree.broken)).toEqual([1, 0, 0, 0, 0]);
		expect(tree.parent[0]).toBe(-1);
		expect(list(tree.order)).toEqual([0, 1, 2, 3, 4]);
	});

	test("cuts a span that names itself as parent", () => {
		const tree = buildTree([0, 0]);
		expect(list(tree.broken)).toEqual([1, 0]);
		expect(list(tree.depth)).toEqual([0, 1]);
	});

	test("takes a parent that is no row for none", () => {
		const tree = buildTree([7, -3, 0]);
		expect(list(tree.parent)).toEqual([-1, -1, 0]);
		expect(list(tree.broken)).toEqual([0, 0, 0]);
	});

	test("holds a chain of 100,000 spans, and as many circles of two", () => {
		const chain = buildTree(Int32Array.from({ length: 100_000 }, (_, row) => row - 1));
		expect(chain.depth[99_999]).toBe(99_999);
		expect(chain.size[0]).toBe(100_000);
		const circles = buildTree(Int32Array.from({ length: 100_000 }, (_, row) => row ^ 1));
		expect(circles.broken.filter((cut) => cut === 1)).toHaveLength(50_000);
	});
});
