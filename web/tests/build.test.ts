/** A build's page: what it did as it happens, its trace beside it, its path, and the last hop, which is this very browser's. */
import type { Page } from "playwright-core";
import { Agent, answer, begin, call, failure, words } from "./harness/agent.ts";
import type { Hopline } from "./harness/hopline.ts";
import {
	activityOf,
	callRow,
	expectSearch,
	headOf,
	openBuild,
	spanRow,
	todoRow,
} from "./harness/look.ts";
import { expect, test } from "./harness/test.ts";

/** A build whose agent waits for what it is told, with its page open. */
async function watched(hopline: Hopline, page: Page, name: string) {
	const agent = await Agent.make();
	const build = await hopline.build(name, { agent: "stream", command: agent.command });
	await openBuild(page, build.sessionId);
	return { agent, ...build };
}

async function isOver(hopline: Hopline, sessionId: string): Promise<void> {
	await expect.poll(async () => (await hopline.row(sessionId)).final).toBe(true);
}

test("todos, tool calls and texts are on the page as they happen", async ({ hopline, page }) => {
	const { agent } = await watched(hopline, page, "as-it-happens");
	await agent.plan({ "Read the code": "in_progress", "Mend it": "pending" });
	await todoRow(page, "Read the code").waitFor();
	await headOf(page).getByText("0 of 2").waitFor();

	await agent.say(begin("t1"), words("t1", "First I will "));
	await page.getByText("First I will").waitFor();
	await agent.say(words("t1", "look around."));
	await page.getByText("First I will look around.").waitFor();

	await agent.say(...call("c1", "Bash", { command: "ls -la" }));
	await callRow(page, "Bash").getByText("ls -la").waitFor();
	await callRow(page, "Bash").getByRole("button").first().click();
	await page.getByText("No output yet.").waitFor();
	await agent.say(answer("c1", "Makefile\nmain.c"));
	await page.getByRole("region", { name: "Output of Bash" }).getByText("main.c").waitFor();

	await agent.plan({ "Read the code": "completed", "Mend it": "completed" });
	await agent.exit();
	await headOf(page).getByText("2 of 2").waitFor();
	await headOf(page).getByText("Completed", { exact: true }).waitFor();
	await agent.close();
});

test("outputs show their colours, and their markup as text that is never run", async ({
	hopline,
	page,
}) => {
	const { agent } = await watched(hopline, page, "hostile-output");
	const markup =
		'<img src="x" onerror="window.wasRun = true"><script>window.wasRun = true</script>';
	await agent.say(
		...call("c1", "Bash", { command: markup }),
		answer("c1", `\u001b[31mred words\u001b[0m and ${markup}\nsecond line`),
		begin("t"),
		words("t", markup),
	);
	await callRow(page, "Bash").getByRole("button").first().click();
	const output = page.getByRole("region", { name: "Output of Bash" });
	const red = output.getByText("red words", { exact: true });
	const plain = output.getByText("second line");
	await red.waitFor();
	const colourOf = (element: Element) => getComputedStyle(element).color;
	expect(await red.evaluate(colourOf)).not.toBe(await plain.evaluate(colourOf));
	// Thrice as text: what went in, what came out, what was said.
	await expect.poll(() => page.getByText(markup, { exact: false }).count()).toBeGreaterThan(2);
	expect(await page.locator("img").count()).toBe(0);
	expect(await page.evaluate(() => "wasRun" in window)).toBe(false);
	await agent.exit();
	await agent.close();
});

test("a long output is folded, opens row by row, and is searched within", async ({
	hopline,
	page,
}) => {
	const { agent } = await watched(hopline, page, "long-output");
	const lines = Array.from({ length: 200 }, (_, at) => `line number ${at + 1}`).join("\n");
	await agent.say(...call("c1", "Bash", { command: "make" }), answer("c1", lines));
	await callRow(page, "Bash").getByRole("button").first().click();
	const output = page.getByRole("region", { name: "Output of Bash" });
	await output.getByText("line number 3").waitFor();
	expect(await output.getByText("line number 150").count()).toBe(0);

	await page.getByRole("button", { name: "Show all 200 lines" }).click();
	await page.getByRole("textbox", { name: "Search in the text" }).fill("number 150");
	await page.getByText("1 of 1").waitFor();
	await output.getByText("number 150").waitFor();
	await page.getByRole("button", { name: "Fold", exact: true }).click();
	await page.getByRole("button", { name: "Show all 200 lines" }).waitFor();
	await agent.exit();
	await agent.close();
});

test("10 MiB of output leave the page light, and say what is not shown", async ({
	hopline,
	page,
}) => {
	const line = "0123456789 ".repeat(9);
	const { sessionId } = await hopline.build("much-output", {
		agent: "command",
		command: `yes '${line}' | head -c 10485760; echo; echo the-very-end`,
	});
	await openBuild(page, sessionId);
	await headOf(page).getByText("Completed", { exact: true }).waitFor();
	await page.getByText("This build is long", { exact: false }).waitFor();
	// Rows are measured as they come into sight, so that the end moves on a little.
	await expect
		.poll(async () => {
			await activityOf(page).press("End");
			return page.getByText("the-very-end").isVisible();
		})
		.toBe(true);
	expect(await page.locator("*").count()).toBeLessThan(5_000);
	// It still answers at once.
	await page.getByRole("tab", { name: "Events" }).click();
	await page.getByRole("tab", { name: "Events", selected: true }).waitFor();
});

test("what failed stands first, and leads to its place", async ({ hopline, page }) => {
	const { agent } = await watched(hopline, page, "fails");
	await agent.plan({ build: "in_progress" });
	for (let at = 0; at < 60; at++) {
		await agent.say(...call(`ok-${at}`, `Read${at}`, {}), answer(`ok-${at}`, "fine"));
	}
	await agent.say(...call("bad", "Compile", { file: "main.c" }), failure("bad", "main.c:3: error"));
	await agent.exit(3);
	await headOf(page).getByText("Failed", { exact: true }).waitFor();
	await activityOf(page).press("Home");
	const why = activityOf(page).getByRole("button", { name: "Compile main.c:3: error" });
	await why.waitFor();
	await page.getByText("The build failed").waitFor();
	await why.click();
	await expectSearch(page, { tool: "bad" });
	await page
		.getByRole("region", { name: "Error of Compile" })
		.getByText("main.c:3: error")
		.waitFor();
	await agent.close();
});

test("pointing at a tool call lights its spans up, and the other way round", async ({
	hopline,
	page,
}) => {
	const { agent, sessionId } = await watched(hopline, page, "pointing");
	await agent.say(...call("c1", "Grep", { pattern: "x" }), answer("c1", "3 matches"));
	await agent.say(...call("c2", "Write", { file: "y" }), answer("c2", "done"));
	await agent.exit();
	await isOver(hopline, sessionId);

	await page.getByRole("textbox", { name: "Search spans" }).fill("runner.tool.Grep");
	await page.getByRole("textbox", { name: "Search spans" }).press("Enter");
	const [grep, write] = [spanRow(page, "runner.tool.Grep"), callRow(page, "Write")];
	await grep.waitFor();
	expect(await grep.getAttribute("data-lit")).toBeNull();
	await callRow(page, "Grep").hover();
	await expect.poll(() => grep.getAttribute("data-lit")).not.toBeNull();
	await write.hover();
	await expect.poll(() => grep.getAttribute("data-lit")).toBeNull();

	const looks = async () => [
		await callRow(page, "Grep").getAttribute("class"),
		await write.getAttribute("class"),
	];
	const [before] = await looks();
	await grep.hover();
	await expect.poll(async () => (await looks())[0]).not.toBe(before);

	await grep.click();
	await expect.poll(() => new URL(page.url()).searchParams.get("tool")).toBe("c1");
	await agent.close();
});

test("the path tells of each hop what came in, went out and is missing", async ({
	hopline,
	page,
}) => {
	const { agent, sessionId } = await watched(hopline, page, "path");
	await agent.plan({ one: "completed" });
	await page.getByRole("tab", { name: "Path" }).click();
	const funnel = page.getByRole("table", { name: "Each event, hop by hop" });
	const into = async (hop: string) => {
		const row = funnel.getByRole("row").filter({ hasText: hop });
		return Number((await row.getByRole("cell").first().textContent())?.replaceAll(/\D/g, ""));
	};
	await funnel.waitFor();
	await expect.poll(() => into("Written to the database")).toBeGreaterThan(0);
	const early = await into("Written to the database");

	for (let at = 0; at < 20; at++)
		await agent.say(...call(`c${at}`, "Bash", {}), answer(`c${at}`, ""));
	// It moves while the build runs.
	await expect.poll(() => into("Written to the database")).toBeGreaterThan(early + 30);
	await agent.exit();
	await isOver(hopline, sessionId);
	await page.getByText(/^All \d+ traced events went all the way\./).waitFor();
	const hops = ["Sent by the runner", "Forwarded by", "Taken in by", "Written to"];
	const counts = await Promise.all(hops.map(into));
	expect(new Set(counts).size).toBe(1);
	await agent.close();
});

interface TreeSpan {
	name: string;
	parentSpanId?: string;
	spanId: string;
}

test("the last hops of a build's trace are this browser's: receipt and paint", async ({
	hopline,
	page,
}) => {
	const { agent, sessionId, traceId } = await watched(hopline, page, "last-hop");
	await agent.plan({ one: "in_progress" });
	await todoRow(page, "one").waitFor();
	await agent.say(begin("t"), words("t", "seen by somebody"));
	await page.getByText("seen by somebody").waitFor();
	await agent.exit();
	await isOver(hopline, sessionId);

	const read = async () => {
		const trace = await hopline.get<{
			resourceSpans: { scopeSpans: { spans: TreeSpan[] }[] }[];
		}>(`/api/traces/${traceId}?format=otlp`);
		return trace.resourceSpans.flatMap(({ scopeSpans }) =>
			scopeSpans.flatMap(({ spans }) => spans),
		);
	};
	const named = (spans: TreeSpan[], name: string) =>
		spans.filter((span) => span.name.startsWith(name));
	await expect
		.poll(async () => named(await read(), "useBuildWebSocket.text-delta").length)
		.toBeGreaterThan(0);
	const spans = await read();
	const byId = new Map(spans.map((span) => [span.spanId, span]));
	const parentOf = ({ parentSpanId = "" }: TreeSpan) => byId.get(parentSpanId)?.name;
	const received = named(spans, "useBuildWebSocket.");
	const painted = named(spans, "react.render.");
	expect(new Set(received.map(parentOf))).toEqual(new Set(["websocket.broadcast"]));
	expect(painted.length).toBeGreaterThan(0);
	for (const span of painted) expect(parentOf(span)).toMatch(/^useBuildWebSocket\./);
	expect(received.map(({ name }) => name)).toContain("useBuildWebSocket.todo-update");
	await agent.close();
});

test("a build that is not there is told calmly", async ({ page, problems }) => {
	problems.allow(/status of 40[04]/);
	for (const id of ["00000000-0000-4000-8000-000000000000", "not-an-id", "%3Cscript%3E"]) {
		await page.goto(`builds/${id}`);
		await page.getByText("There is no such build").waitFor();
	}
	await page.getByRole("link", { name: "Go to the builds" }).click();
	await page.getByRole("heading", { name: "Builds", level: 1 }).waitFor();
});
