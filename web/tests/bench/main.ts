/**
 * Measures the console in a real browser, on the program that HOPLINE_BIN names, and prints a table: each figure's median of
 * BENCH_RUNS runs (five unless it is said), the worst of them, and what is to be reached.
 */
import type { BrowserContext } from "playwright-core";
import { launch, signIn } from "../harness/browser.ts";
import { Hopline } from "../harness/hopline.ts";
import { commitToPaint, manyEvents } from "./live.ts";
import { firstLoadBytes } from "./size.ts";
import { firstPaint, inFiles, slowFrames, storeTrace } from "./trace.ts";

const RUNS = Number(process.env.BENCH_RUNS ?? 5);

interface Figure {
	name: string;
	reach: string;
	measured: number[];
	written(value: number): string;
}

const ms = (value: number) => `${value.toFixed(0)} ms`;
const share = (value: number) => `${(value * 100).toFixed(1)} %`;
const mib = (value: number) => `${(value / 2 ** 20).toFixed(1)} MiB`;
const kib = (value: number) => `${(value / 1024).toFixed(1)} KiB`;

export async function main(): Promise<void> {
	const hopline = await Hopline.start();
	const browser = await launch();
	try {
		const storageState = await signIn(browser, hopline);
		const fresh = () => browser.newContext({ baseURL: hopline.url, storageState });
		print([
			...(await traceFigures(hopline, fresh)),
			...(await liveFigures(hopline, fresh)),
			{
				name: "first load, gzip",
				reach: "≤ 250 KiB",
				measured: [await firstLoadBytes(await fresh())],
				written: kib,
			},
		]);
	} finally {
		await browser.close();
		await hopline.stop();
	}
}

type Fresh = () => Promise<BrowserContext>;

async function traceFigures(hopline: Hopline, fresh: Fresh): Promise<Figure[]> {
	const figures: Figure[] = [];
	const stored: { size: string; name: string; paint: string }[] = [];
	for (const [spans, paint, frames] of [
		[10_000, "≤ 400 ms", "none"],
		[100_000, "≤ 1.5 s", "≤ 2 %"],
	] as const) {
		const name = await storeTrace(hopline, spans);
		const painted = await times(RUNS, () => firstPaint(fresh, name));
		const slow = await times(RUNS, () => slowFrames(fresh, name));
		const size = `${spans.toLocaleString("en")} spans`;
		stored.push({ size, name, paint });
		figures.push(
			{ name: `${size}: click → painted`, reach: paint, measured: painted, written: ms },
			{ name: `${size}: frames over 50 ms`, reach: frames, measured: slow, written: share },
		);
	}
	// What was just stored is in the log's segments; what is older has been made columns.
	await inFiles(hopline);
	for (const { size, name, paint } of stored) {
		const painted = await times(RUNS, () => firstPaint(fresh, name));
		figures.push({
			name: `${size}, in files: click → painted`,
			reach: paint,
			measured: painted,
			written: ms,
		});
	}
	return figures;
}

async function liveFigures(hopline: Hopline, fresh: Fresh): Promise<Figure[]> {
	const delays = await times(RUNS, () => commitToPaint(hopline, fresh));
	const heap = await times(RUNS, () => manyEvents(hopline, fresh));
	return [
		{
			name: "commit → painted, p50",
			reach: "≤ 80 ms",
			measured: delays.map(({ p50 }) => p50),
			written: ms,
		},
		{
			name: "commit → painted, p95",
			reach: "≤ 150 ms",
			measured: delays.map(({ p95 }) => p95),
			written: ms,
		},
		{
			name: "heap after 30,000 events",
			reach: "≤ 120 MiB",
			measured: heap.map(({ early }) => early),
			written: mib,
		},
		{
			name: "the same after 60,000",
			reach: "steady",
			measured: heap.map(({ late }) => late),
			written: mib,
		},
	];
}

async function times<T>(count: number, measure: () => Promise<T>): Promise<T[]> {
	const measured: T[] = [];
	for (let run = 0; run < count; run++) measured.push(await measure());
	return measured;
}

function print(figures: readonly Figure[]): void {
	const rows = figures.map(({ name, reach, measured, written }) => {
		const sorted = [...measured].sort((one, other) => one - other);
		const median = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
		return [name, written(median), written(sorted.at(-1) ?? Number.NaN), reach];
	});
	const all = [["figure", "median", "worst", "reach"], ...rows];
	const widths = [0, 1, 2, 3].map((at) => Math.max(...all.map((row) => (row[at] ?? "").length)));
	for (const row of all) {
		console.log(
			row
				.map((cell, at) => cell.padEnd(widths[at] ?? 0))
				.join("  ")
				.trimEnd(),
		);
	}
}
