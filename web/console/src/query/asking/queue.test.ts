import { expect, test } from "vitest";
import { inTurn } from "./queue";

function work() {
	let end = (): void => undefined;
	let begun = false;
	const run = () => {
		begun = true;
		return new Promise<void>((resolve) => {
			end = resolve;
		});
	};
	return { run, end: () => end(), hasBegun: () => begun };
}

const settle = () => new Promise((resolve) => setTimeout(resolve));

test("three questions are asked at once, and the next when one of them is answered", async () => {
	const all = Array.from({ length: 5 }, work);
	const done = all.map(({ run }) => inTurn(run));
	await settle();
	expect(all.map(({ hasBegun }) => hasBegun())).toEqual([true, true, true, false, false]);
	all[1]?.end();
	await settle();
	expect(all.map(({ hasBegun }) => hasBegun())).toEqual([true, true, true, true, false]);
	for (const { end } of all) {
		end();
		await settle();
	}
	await Promise.all(done);
});

test("a question that is given up while it waits is never asked, and holds up no other", async () => {
	const all = Array.from({ length: 3 }, work);
	const done = all.map(({ run }) => inTurn(run));
	const giveUp = new AbortController();
	const [left, last] = [work(), work()];
	const refused = expect(inTurn(left.run, giveUp.signal)).rejects.toMatchObject({
		name: "AbortError",
	});
	const waited = inTurn(last.run);
	giveUp.abort();
	await refused;
	for (const { end } of [...all, last]) {
		end();
		await settle();
	}
	await Promise.all([...done, waited]);
	expect(left.hasBegun()).toBe(false);
});

test("a question that is given up at the very moment of its turn passes it on", async () => {
	const all = Array.from({ length: 3 }, work);
	const done = all.map(({ run }) => inTurn(run));
	const giveUp = new AbortController();
	const [left, last] = [work(), work()];
	const refused = expect(inTurn(left.run, giveUp.signal)).rejects.toMatchObject({
		name: "AbortError",
	});
	const waited = inTurn(last.run);
	await settle();
	all[0]?.end();
	await done[0];
	giveUp.abort();
	await refused;
	await settle();
	expect([left.hasBegun(), last.hasBegun()]).toEqual([false, true]);
	for (const { end } of [...all, last]) end();
	await Promise.all([...done, waited]);
});
