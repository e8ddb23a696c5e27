/** All of the console's pages, each as it looks when there is something on it. */
import type { Page } from "playwright-core";
import { expect } from "vitest";
import type { Build, Hopline } from "./hopline.ts";
import { openBuild } from "./look.ts";
import { realisticBuild } from "./realistic.ts";

/** What the pages show: a build that runs, one that has ended, and since when what happened is drawn. */
export interface Shown {
	since: string;
	running: Build;
	ended: Build;
}

/** Runs some builds, so that there is something on each page. */
export async function shownBy(hopline: Hopline, since: string, pace?: number): Promise<Shown> {
	const [ended, running] = await Promise.all([
		realisticBuild(hopline, "lists", pace),
		realisticBuild(hopline, "parser", pace),
	]);
	await ended.finish();
	const failing = await hopline.build("website", {
		agent: "steps",
		steps: [
			{ name: "compile", run: "echo compiled 12 files" },
			{ name: "check links", run: "echo /docs/old leads nowhere >&2; exit 1" },
		],
	});
	await expect
		.poll(async () => {
			const rows = await Promise.all([ended, failing].map((it) => hopline.row(it.sessionId)));
			return rows.map(({ final }) => final);
		})
		.toEqual([true, true]);
	return { running, ended, since };
}

export interface Place {
	name: string;
	/** Opens the page and waits until it is all there. */
	open(page: Page, shown: Shown): Promise<void>;
}

async function answered(page: Page): Promise<void> {
	const answer = page.getByRole("region", { name: "Answer" });
	await answer.locator("canvas, table").first().waitFor();
}

async function trace(page: Page, traceId: string, search = ""): Promise<void> {
	await page.goto(`traces/${traceId}${search}`);
	await page.getByRole("treegrid", { name: "Spans" }).getByRole("row").first().waitFor();
}

export const PLACES: readonly Place[] = [
	{
		name: "builds",
		async open(page) {
			await page.goto("./");
			await page.getByRole("table", { name: "Builds" }).getByRole("row").nth(2).waitFor();
		},
	},
	{
		name: "start",
		async open(page) {
			await page.goto("./");
			await page.getByRole("button", { name: "Start a build" }).click();
			await page.getByRole("dialog", { name: "Start a build" }).waitFor();
		},
	},
	{
		name: "build",
		async open(page, { running }) {
			await openBuild(page, running.sessionId);
			await page.getByText("One test fails", { exact: false }).waitFor();
		},
	},
	{
		name: "build-path",
		async open(page, { ended }) {
			await openBuild(page, ended.sessionId, "?tab=path");
			await page.getByRole("table", { name: "Each event, hop by hop" }).waitFor();
		},
	},
	{
		name: "build-events",
		async open(page, { ended }) {
			await openBuild(page, ended.sessionId, "?tab=events");
			await page.getByRole("region", { name: "Events" }).getByText("TodoWrite").first().waitFor();
		},
	},
	{ name: "trace", open: (page, { ended }) => trace(page, ended.traceId) },
	{
		name: "trace-span",
		async open(page, { ended }) {
			await trace(page, ended.traceId);
			await page.getByRole("treegrid", { name: "Spans" }).getByRole("row").nth(1).click();
			const panel = page.getByRole("complementary", { name: "Span" });
			await panel.getByRole("heading", { name: "Attributes" }).waitFor();
		},
	},
	{
		name: "explore-empty",
		async open(page) {
			await page.goto("explore");
			await page.getByRole("heading", { name: "Ask the stored spans" }).waitFor();
		},
	},
	{
		name: "explore",
		async open(page, { since }) {
			await page.goto(`explore?q=count(spans) by op since ${since}&view=series`);
			await answered(page);
		},
	},
	{
		name: "explore-heat",
		async open(page, { since }) {
			await page.goto(`explore?q=spans where op:db.query since ${since}&view=heat`);
			await answered(page);
		},
	},
	{
		name: "dashboards",
		async open(page) {
			await page.goto("dashboards");
			await page.getByRole("link", { name: "Hop latencies" }).waitFor();
		},
	},
	{
		name: "dashboard",
		async open(page, { since }) {
			await page.goto(`dashboards/event-path?since=${since}`);
			const panel = page.getByRole("region", {
				name: "Slowest persistence operations",
				exact: true,
			});
			await panel.getByRole("row").nth(1).waitFor();
			const lines = page.getByRole("region", {
				name: "Throughput: events at each hop",
				exact: true,
			});
			await lines.locator("canvas").first().waitFor();
		},
	},
	{
		name: "runners",
		async open(page) {
			await page.goto("runners");
			await page.getByRole("table", { name: "Runners" }).waitFor();
		},
	},
	{
		name: "nowhere",
		async open(page) {
			await page.goto("builds/not-there");
			await page.getByText("There is no such build").waitFor();
		},
	},
];
