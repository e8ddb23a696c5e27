/** A build's page while the build runs: how soon an event is on the screen, and what thirty thousand of them leave behind. */
import { setTimeout } from "node:timers/promises";
import type { BrowserContext } from "playwright-core";
import { Agent, answer, begin, call, words } from "../harness/agent.ts";
import type { Hopline } from "../harness/hopline.ts";
import { headOf, openBuild } from "../harness/look.ts";

type Fresh = () => Promise<BrowserContext>;

/** Events of a build that is measured, and how many come in a second. */
const EVENTS = 400;
const EVERY_MS = 20;

/** Rounds of a tool call and three words, which are six events each. */
const ROUNDS = 5_000;

interface Span {
	name: string;
	endTimeUnixNano: string;
	attributes: { key: string; value: { intValue?: string } }[];
}

/** From an event's commit to its paint in a page that is open, in milliseconds, by the build's own trace. */
export async function commitToPaint(hopline: Hopline, fresh: Fresh) {
	const context = await fresh();
	const agent = await Agent.make();
	try {
		const page = await context.newPage();
		const { sessionId, traceId } = await hopline.build(`paint-${Date.now()}`, {
			agent: "stream",
			command: agent.command,
		});
		await openBuild(page, sessionId);
		await agent.say(begin("t"));
		for (let at = 0; at < EVENTS; at++) {
			await agent.say(words("t", `${at} `));
			await setTimeout(EVERY_MS);
		}
		await agent.exit();
		await headOf(page).getByText("Completed", { exact: true }).waitFor();
		return quantiles(await delaysOf(hopline, traceId));
	} finally {
		await agent.close();
		await context.close();
	}
}

/** For each event that was committed how long after it the first paint was that has it. */
async function delaysOf(hopline: Hopline, traceId: string): Promise<number[]> {
	for (const deadline = Date.now() + 30_000; Date.now() < deadline; await setTimeout(500)) {
		const spans = await spansOf(hopline, traceId);
		const painted = spans
			.filter(({ name }) => name.startsWith("react.render."))
			.map((span) => ({ seq: seqOf(span), at: endOf(span) }))
			.sort((one, other) => one.seq - other.seq || one.at - other.at);
		const committed = spans.filter(({ name }) => name.endsWith("persistEvent.text-delta"));
		const delays = committed.flatMap((span) => {
			const paint = painted.find(({ seq }) => seq >= seqOf(span));
			return paint ? [paint.at - endOf(span)] : [];
		});
		// The last spans come a moment after the build's end.
		if (committed.length >= EVENTS && delays.length === committed.length) return delays;
	}
	throw new Error("the browser's spans did not come");
}

async function spansOf(hopline: Hopline, traceId: string): Promise<Span[]> {
	const { resourceSpans } = await hopline.get<{
		resourceSpans: { scopeSpans: { spans: Span[] }[] }[];
	}>(`/api/traces/${traceId}?format=otlp`);
	return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans));
}

function seqOf({ attributes }: Span): number {
	return Number(attributes.find(({ key }) => key === "event.seq")?.value.intValue ?? 0);
}

/** In milliseconds since 1970, with their fractions. */
function endOf({ endTimeUnixNano }: Span): number {
	return Number(BigInt(endTimeUnixNano) / 1_000n) / 1_000;
}

function quantiles(values: readonly number[]) {
	const sorted = [...values].sort((one, other) => one - other);
	const at = (share: number) => sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN;
	return { p50: at(0.5), p95: at(0.95) };
}

/** The JavaScript heap of a page that has followed a long build, and when it has followed as much again, in bytes. */
export async function manyEvents(hopline: Hopline, fresh: Fresh) {
	const context = await fresh();
	const agent = await Agent.make();
	try {
		const page = await context.newPage();
		const { sessionId } = await hopline.build(`many-${Date.now()}`, {
			agent: "stream",
			command: agent.command,
		});
		await openBuild(page, sessionId);
		const session = await context.newCDPSession(page);
		await session.send("HeapProfiler.enable");
		const heap = async () => {
			await session.send("HeapProfiler.collectGarbage");
			return (await session.send("Runtime.getHeapUsage")).usedSize;
		};
		await agent.say(begin("t"));
		const rounds = async (from: number) => {
			for (let at = from; at < from + ROUNDS; at++) {
				await agent.say(...call(`c${at}`, "Bash", { command: `make part-${at}` }));
				await agent.say(answer(`c${at}`, `part ${at} is made`));
				await agent.say(words("t", "one "), words("t", "two "), words("t", `three ${at}. `));
			}
			// The page follows the end of the list.
			await page.getByText(`make part-${from + ROUNDS - 1}`).waitFor({ timeout: 120_000 });
		};
		await rounds(0);
		const early = await heap();
		await rounds(ROUNDS);
		const late = await heap();
		await agent.exit();
		await headOf(page).getByText("Completed", { exact: true }).waitFor();
		return { early, late };
	} finally {
		await agent.close();
		await context.close();
	}
}
