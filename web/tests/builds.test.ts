/** The list of builds: the first visit, what runs, filters, starting and cancelling. */
import { Agent } from "./harness/agent.ts";
import { expect, test } from "./harness/test.ts";

test("a first visit shows the one command that makes a build appear", async ({ page }) => {
	await page.goto("/");
	await page.getByRole("heading", { name: "Run your first build" }).waitFor();
	await page.getByText("hopline run -- make", { exact: false }).waitFor();
	await page.getByRole("button", { name: "Copy the command" }).waitFor();
	await page.getByRole("button", { name: "start one from here" }).click();
	await page.getByRole("dialog", { name: "Start a build" }).waitFor();
});

test("a build appears, moves and ends in the list by itself", async ({ hopline, page }) => {
	await page.goto("/");
	await page.getByRole("heading", { name: "Builds" }).waitFor();
	const agent = await Agent.make();
	const { sessionId } = await hopline.build("live-list", {
		agent: "stream",
		command: agent.command,
	});
	const row = page.getByRole("row").filter({ hasText: "live-list" });
	await row.getByText("Running").waitFor();

	await agent.plan({ read: "completed", write: "in_progress", test: "pending" });
	await row.getByText("1 of 3").waitFor();
	expect(await row.getByRole("progressbar").getAttribute("aria-valuenow")).toBe("1");
	await page.getByRole("link", { name: "Builds 1 running" }).waitFor();

	await agent.plan({ read: "completed", write: "completed", test: "completed" });
	await agent.exit();
	await row.getByText("Completed").waitFor();
	await row.getByText("3 of 3").waitFor();
	const { lastSeq } = await hopline.row(sessionId);
	await row.getByRole("cell", { name: String(lastSeq), exact: true }).waitFor();
	await agent.close();
});

test("filters stand in the address, and hold after a reload", async ({ hopline, page }) => {
	await hopline.build("goes-well", { agent: "command", command: ["true"] });
	const failing = await hopline.build("goes-wrong", { agent: "command", command: ["false"] });
	await expect.poll(async () => (await hopline.row(failing.sessionId)).status).toBe("failed");
	await page.goto("/");
	const rows = page.getByRole("table", { name: "Builds" }).getByRole("row");
	const [well, wrong] = ["goes-well", "goes-wrong"].map((name) => rows.filter({ hasText: name }));
	await well?.waitFor();

	await page.getByText("Failed", { exact: true }).first().click();
	await wrong?.waitFor();
	await well?.waitFor({ state: "detached" });
	await page.getByRole("searchbox", { name: "Search builds" }).fill("wrong");
	await expect.poll(() => new URL(page.url()).search).toBe("?status=failed&q=wrong");

	await page.reload();
	await wrong?.waitFor();
	expect(await well?.count()).toBe(0);
	expect(await page.getByRole("searchbox", { name: "Search builds" }).inputValue()).toBe("wrong");

	await page.getByRole("searchbox", { name: "Search builds" }).fill("nothing is called this");
	await page.getByText("No build is like that").waitFor();
});

test("a build is started from the page, and cancelled there", async ({ hopline, page }) => {
	await page.goto("/");
	await page.getByRole("button", { name: "Start a build" }).click();
	const dialog = page.getByRole("dialog", { name: "Start a build" });
	await dialog.getByRole("button", { name: "Start the build" }).click();
	// What is missing is said where it is missing, and nothing is started.
	await expect.poll(() => dialog.locator("[aria-invalid=true]").count()).toBeGreaterThan(0);

	await dialog.getByPlaceholder("my-project").fill("by-hand");
	await dialog.getByPlaceholder("make test").fill("echo waiting; exec sleep 300");
	await dialog.getByRole("button", { name: "Start the build" }).click();
	await page.waitForURL("**/builds/*");
	await page.getByRole("heading", { name: "by-hand", level: 1 }).waitFor();
	await page.getByText("waiting", { exact: true }).waitFor();
	const sessionId = new URL(page.url()).pathname.split("/").at(-1) ?? "";

	await page.getByRole("link", { name: /^Builds/ }).click();
	await page.getByRole("button", { name: "Cancel the build of by-hand" }).click();
	await page.getByRole("button", { name: "Let it run" }).click();
	expect((await hopline.row(sessionId)).status).toBe("active");

	await page.getByRole("button", { name: "Cancel the build of by-hand" }).click();
	await page.getByRole("button", { name: "Cancel the build", exact: true }).click();
	const row = page.getByRole("row").filter({ hasText: "by-hand" });
	await row.getByText("Cancelled").waitFor();
	expect(await hopline.row(sessionId)).toMatchObject({
		status: "failed",
		errorMessage: "cancelled",
	});
});
