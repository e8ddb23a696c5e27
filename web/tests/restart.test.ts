/** A server that dies while a build runs and is watched: afterwards all of it is there, once, in order. */
import type { Page, WebSocketRoute } from "playwright-core";
import { Agent, answer, begin, call, words } from "./harness/agent.ts";
import type { Hopline } from "./harness/hopline.ts";
import { activityOf, headOf, openBuild } from "./harness/look.ts";
import { expect, test } from "./harness/test.ts";

interface State {
	todos: { content: string }[];
	toolsByTodo: Record<string, { id: string; name: string; startTime: string }[]>;
	textByTodo: Record<string, { id: string; text: string }[]>;
}

/** The names of all calls and all words of a build, in the order in which they are stored. */
function storedOf({ toolsByTodo, textByTodo }: State) {
	return {
		calls: Object.values(toolsByTodo).flatMap((calls) => calls.map(({ name }) => name)),
		words: Object.values(textByTodo).flatMap((texts) => texts.map(({ text }) => text)),
	};
}

/** The same as it is read on the page, from top to bottom. */
async function shownOn(page: Page) {
	const activity = activityOf(page);
	const rows = await activity.getByRole("article").allTextContents();
	const calls = rows.map((row) => /Tool\d+/.exec(row)?.[0]);
	const text = (await activity.textContent()) ?? "";
	return { calls, words: Array.from(text.matchAll(/\[\d+\]/g), ([word]) => word).join("") };
}

/** Makes all of a short build fit into the window, so that all of it is in the page. */
const TALL = { width: 1280, height: 4000 };

async function callsAndWords(agent: Agent, from: number, to: number): Promise<void> {
	for (let at = from; at < to; at++) {
		await agent.say(...call(`c${at}`, `Tool${at}`, { at }), answer(`c${at}`, `done ${at}`));
		await agent.say(words("t", `[${at}]`));
	}
}

/** The same, each round of it once the one before is on the page: in many updates rather than few. */
async function oneByOne(page: Page, agent: Agent, from: number, to: number): Promise<void> {
	for (let at = from; at < to; at++) {
		await callsAndWords(agent, at, at + 1);
		await page.getByText(`[${at}]`).waitFor();
	}
}

/** What rounds of calls and words come to, stored or shown. */
function allOf(rounds: number) {
	const all = Array.from({ length: rounds }, (_, at) => at);
	return { calls: all.map((at) => `Tool${at}`), words: all.map((at) => `[${at}]`).join("") };
}

async function lastSeq(hopline: Hopline, sessionId: string): Promise<number> {
	return (await hopline.row(sessionId)).lastSeq;
}

test("after the server was killed amid a build, nothing is missing or doubled", async ({
	hopline,
	open,
	problems,
}) => {
	problems.allow(
		/ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|WebSocket|50[0-9]/,
	);
	const page = await open({ viewport: TALL });
	await hopline.startRunner("stays");
	await expect
		.poll(async () => JSON.stringify(await hopline.get("/api/runners")))
		.toMatch(/"id":"stays"[^}]*"link":"up"|"link":"up"[^}]*"id":"stays"/);
	const agent = await Agent.make();
	const { sessionId } = await hopline.build("survives", {
		agent: "stream",
		command: agent.command,
		runnerId: "stays",
	});
	await openBuild(page, sessionId);
	await agent.say(begin("t"));
	await oneByOne(page, agent, 0, 10);

	await hopline.kill();
	await page.getByText("The server is away.", { exact: false }).waitFor();
	// That takes its room from the page, which fills the window as before.
	expect(await page.evaluate(() => document.documentElement.scrollHeight - innerHeight)).toBe(0);
	// What the agent does meanwhile, its runner keeps.
	await callsAndWords(agent, 10, 20);
	await hopline.startAgain();
	await page.getByText("[19]").waitFor({ timeout: 30_000 });
	await page.getByText("The server is away.", { exact: false }).waitFor({ state: "detached" });
	await oneByOne(page, agent, 20, 30);
	// Before the end, which comes with all of the state.
	expect(await shownOn(page)).toEqual(allOf(30));
	await agent.exit();
	await headOf(page).getByText("Completed", { exact: true }).waitFor();

	// What is stored, the page that lived through it, and one that comes anew are the same.
	const stored = storedOf(await hopline.get<State>(`/api/builds/${sessionId}`));
	expect({ ...stored, words: stored.words.join("") }).toEqual(allOf(30));
	expect(await shownOn(page)).toEqual(allOf(30));
	await headOf(page)
		.getByText(String(await lastSeq(hopline, sessionId)), { exact: true })
		.waitFor();
	await page.reload();
	await page.getByText("[29]").waitFor();
	expect(await shownOn(page)).toEqual(allOf(30));
	await agent.close();
});

test("a connection that breaks goes on where it was, and doubles nothing", async ({
	hopline,
	open,
}) => {
	const page = await open({ viewport: TALL });
	const sockets: WebSocketRoute[] = [];
	await page.routeWebSocket(/\/ws\?/, (socket) => {
		socket.connectToServer();
		sockets.push(socket);
	});
	const agent = await Agent.make();
	const { sessionId } = await hopline.build("breaks-off", {
		agent: "stream",
		command: agent.command,
		runnerId: "local",
	});
	await openBuild(page, sessionId);
	await agent.say(begin("t"));
	await oneByOne(page, agent, 0, 5);

	await sockets.at(-1)?.close({ code: 1012 });
	await callsAndWords(agent, 5, 10);
	await page.getByText("[9]").waitFor();
	await oneByOne(page, agent, 10, 15);
	// What it had it did not ask for again.
	const since = new URL(sockets.at(-1)?.url() ?? "").searchParams.get("since");
	expect(Number(since)).toBeGreaterThan(0);
	expect(await shownOn(page)).toEqual(allOf(15));
	await agent.exit();
	await agent.close();
});

test("a list goes on by itself once the server is back", async ({ hopline, page, problems }) => {
	problems.allow(
		/ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|WebSocket|50[0-9]/,
	);
	await page.goto("/");
	await page.getByRole("table", { name: "Builds" }).waitFor();
	await hopline.kill();
	await page.getByText("The server is away.", { exact: false }).waitFor();
	await page.getByRole("row").filter({ hasText: "survives" }).waitFor();
	await hopline.startAgain();
	await page.getByText("The server is away.", { exact: false }).waitFor({ state: "detached" });
	await hopline.build("after-the-return", {
		agent: "command",
		command: ["true"],
		runnerId: "local",
	});
	await page.getByRole("row").filter({ hasText: "after-the-return" }).waitFor();
});
