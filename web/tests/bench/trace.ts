/** Large traces: how soon one is there after a click, and how smoothly it scrolls and zooms. */
import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { BrowserContext, Page } from "playwright-core";
import type { Hopline } from "../harness/hopline.ts";

const SERVICES = ["runner", "broker", "server", "processor"];

/** Spans of one request, so that each stays well below what a request may hold. */
const AT_ONCE = 2_000;

/** Children of a span that has any. */
const FANOUT = 8;

/** Stores a trace of so many spans, and gives the name of its root, which no other span has. */
export async function storeTrace(hopline: Hopline, count: number): Promise<string> {
	const traceId = randomBytes(16).toString("hex");
	const name = `trace of ${count}`;
	const start = BigInt(Date.now() - 120_000) * 1_000_000n;
	const ids = Array.from({ length: count }, () => randomBytes(8).toString("hex"));
	const at = (nanos: number) => String(start + BigInt(Math.round(nanos)));
	const spanAt = (row: number) => {
		// Each span lies within its parent, which comes before it.
		const parent = Math.floor((row - 1) / FANOUT);
		const from = row * 1_000_000;
		return {
			traceId,
			spanId: ids[row],
			...(row > 0 && { parentSpanId: ids[parent] }),
			name: row === 0 ? name : `work ${row % 97}`,
			kind: 1,
			startTimeUnixNano: at(from),
			endTimeUnixNano: at(row === 0 ? count * 1_100_000 : from + 5_000_000),
			attributes: [{ key: "sentry.op", value: { stringValue: `op.${row % 7}` } }],
		};
	};
	for (let from = 0; from < count; from += AT_ONCE) {
		const rows = Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, at) => from + at);
		const resourceSpans = SERVICES.map((service, which) => ({
			resource: { attributes: [{ key: "service.name", value: { stringValue: service } }] },
			scopeSpans: [{ spans: rows.filter((row) => row % SERVICES.length === which).map(spanAt) }],
		}));
		await hopline.sendSpans({ resourceSpans });
	}
	await allStored(hopline, traceId, count);
	return name;
}

async function allStored(hopline: Hopline, traceId: string, count: number): Promise<void> {
	for (const deadline = Date.now() + 60_000; Date.now() < deadline; ) {
		const answer = await hopline.fetch(`/api/traces/${traceId}?format=outline`);
		const { total } = answer.ok ? ((await answer.json()) as { total: number }) : { total: 0 };
		if (total >= count) return;
	}
	throw new Error(`not all ${count} spans were stored within a minute`);
}

/** Waits until a server that was started anew has brought all spans from its log into files. */
export async function inFiles(hopline: Hopline): Promise<void> {
	await hopline.kill();
	await hopline.startAgain();
	for (const deadline = Date.now() + 400_000; Date.now() < deadline; await pause(1_000)) {
		const metrics = await (await hopline.fetch("/metrics")).text();
		const figure = (name: string) =>
			new RegExp(`^hopline_traces_${name} (\\d+)`, "m").exec(metrics)?.[1];
		if (figure("spans") && figure("spans") === figure("settled_spans")) return;
	}
	throw new Error("the spans were not in files within 400 s");
}

type Fresh = () => Promise<BrowserContext>;

/** A page with a link to the trace in sight, as Explore has one. */
async function beforeTrace(context: BrowserContext, name: string): Promise<Page> {
	const page = await context.newPage();
	await page.goto(`explore?q=spans where name:"${name}" limit 1&view=table`);
	await page.getByRole("region", { name: "Answer" }).getByRole("link").first().waitFor();
	return page;
}

/** From the click on a link to the trace until its rows are painted, in milliseconds. */
export async function firstPaint(fresh: Fresh, name: string): Promise<number> {
	const context = await fresh();
	try {
		const page = await beforeTrace(context, name);
		await page.evaluate(() => {
			const taken = new Promise<number>((resolve) => {
				addEventListener(
					"click",
					() => {
						const begun = performance.now();
						const look = () => {
							const isThere = document.querySelector("[role=treegrid] [role=row]") !== null;
							// The task after a frame's callbacks comes after its paint.
							if (isThere) setTimeout(() => resolve(performance.now() - begun));
							else requestAnimationFrame(look);
						};
						requestAnimationFrame(look);
					},
					{ capture: true, once: true },
				);
			});
			Object.assign(window, { taken });
		});
		await page.getByRole("region", { name: "Answer" }).getByRole("link").first().click();
		return await page.evaluate(() => (window as unknown as { taken: Promise<number> }).taken);
	} finally {
		await context.close();
	}
}

/** Which part of the frames took over 50 ms while the trace was scrolled and zoomed, from 0 to 1. */
export async function slowFrames(fresh: Fresh, name: string): Promise<number> {
	const context = await fresh();
	try {
		const page = await beforeTrace(context, name);
		await page.getByRole("region", { name: "Answer" }).getByRole("link").first().click();
		const rows = page.getByRole("treegrid", { name: "Spans" });
		await rows.getByRole("row").first().waitFor();
		await page.getByRole("button", { name: "Open all" }).click();
		await rows.getByRole("row").nth(1).hover();
		await page.evaluate(() => {
			const frames: number[] = [];
			let before = performance.now();
			const frame = (now: number) => {
				frames.push(now - before);
				before = now;
				requestAnimationFrame(frame);
			};
			requestAnimationFrame(frame);
			Object.assign(window, { frames });
		});
		for (let turn = 0; turn < 60; turn++) await page.mouse.wheel(0, 400);
		await page.keyboard.down("Control");
		for (let turn = 0; turn < 40; turn++) await page.mouse.wheel(0, turn < 20 ? -120 : 120);
		await page.keyboard.up("Control");
		const frames = await page.evaluate(() => (window as unknown as { frames: number[] }).frames);
		return frames.filter((took) => took > 50).length / frames.length;
	} finally {
		await context.close();
	}
}
