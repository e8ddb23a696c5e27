/** What all pages share: signing in, themes, the server's paths, its clock; and the runners, which are a page of their own. */
import { Agent } from "./harness/agent.ts";
import { signIn } from "./harness/browser.ts";
import { Hopline } from "./harness/hopline.ts";
import { headOf, openBuild } from "./harness/look.ts";
import { expect, test } from "./harness/test.ts";

const NOBODY = { cookies: [], origins: [] };

test("an ended sign-in leads to the secret, and back to where one was", async ({
	hopline,
	page,
	problems,
}) => {
	problems.allow(/status of 40[13]/, /WebSocket/);
	await page.goto("explore?q=count(spans)");
	await page.getByRole("region", { name: "Answer" }).getByRole("row").first().waitFor();
	await page.context().clearCookies();
	// By itself: the page asks now and then how the server is.
	await page.getByText("Your sign-in has ended.", { exact: false }).waitFor();

	await page.getByLabel("Admin secret").fill("not the secret");
	await page.getByRole("button", { name: "Sign in" }).click();
	await page.getByText("This is not the admin secret.").waitFor();
	await page.getByLabel("Admin secret").fill(hopline.adminSecret);
	await page.getByRole("button", { name: "Sign in" }).click();
	await page.getByRole("region", { name: "Answer" }).getByRole("row").first().waitFor();
	expect(new URL(page.url()).searchParams.get("q")).toBe("count(spans)");
});

test("a link that was used before is told calmly", async ({ hopline, open, problems }) => {
	problems.allow(/status of 40[13]/);
	const page = await open({ storageState: NOBODY });
	const link = new URL(hopline.signIn);
	await page.goto(link.pathname + link.search);
	await page.getByText("This link was used before or has expired.", { exact: false }).waitFor();
});

test("without a sign-in nothing is shown, and wrong secrets are slowed down", async ({
	open,
	problems,
}) => {
	problems.allow(/status of (40[13]|429)/, /WebSocket/);
	const page = await open({ storageState: NOBODY });
	await page.goto("runners");
	await page.getByLabel("Admin secret").waitFor();
	expect(await page.getByRole("table").count()).toBe(0);
	const wait = page.getByText("Too many wrong secrets.", { exact: false });
	await expect
		.poll(async () => {
			if (await wait.isVisible()) return true;
			await page.getByLabel("Admin secret").fill("wrong");
			await page.getByLabel("Admin secret").press("Enter");
			return false;
		})
		.toBe(true);
	expect(await page.getByRole("button", { name: "Sign in" }).isDisabled()).toBe(true);
});

test("the theme is the system's until one is chosen, which then stays", async ({ open }) => {
	const page = await open({ colorScheme: "dark" });
	await page.goto("runners");
	await page.getByRole("table", { name: "Runners" }).waitFor();
	const isDark = () =>
		page.evaluate(() => {
			const letters = getComputedStyle(document.body).color.match(/\d+/g) ?? [];
			return Number(letters[0]) > 127;
		});
	expect(await isDark()).toBe(true);
	await page.getByRole("button", { name: "Theme" }).click();
	await page
		.getByRole("menuitemradio", { name: "Light" })
		.or(page.getByRole("menuitem", { name: "Light" }))
		.click();
	await expect.poll(isDark).toBe(false);
	await page.reload();
	await page.getByRole("table", { name: "Runners" }).waitFor();
	expect(await isDark()).toBe(false);
});

test("pages are the console's at every address, and the API's mistakes are JSON", async ({
	hopline,
	page,
	problems,
}) => {
	for (const path of ["/", "/builds/x", "/traces/x", "/explore", "/dashboards/x", "/runners"]) {
		const answer = await hopline.fetch(path, { headers: { accept: "text/html" } });
		expect(answer.status, path).toBe(200);
		expect(answer.headers.get("content-type"), path).toContain("text/html");
		expect(answer.headers.get("content-security-policy"), path).toContain("script-src 'self'");
	}
	const unknown = await hopline.fetch("/api/nothing/here");
	expect(unknown.status).toBe(404);
	expect(await unknown.json()).toMatchObject({ code: "not_found" });

	problems.allow(/status of 404/);
	await page.goto("dashboards/nothing-here");
	await page.getByText("There is no such dashboard").waitFor();
});

test("below another path everything works as it does at the root", async ({ browser, open }) => {
	const below = await Hopline.start({ env: { HOPLINE_BASE_PATH: "/tools/hopline/" } });
	try {
		expect(new URL(below.signIn).pathname).toBe("/tools/hopline/signin");
		const storageState = await signIn(browser, below);
		const page = await open({ baseURL: `${below.url}/tools/hopline/`, storageState });
		const agent = await Agent.make();
		const { sessionId, traceId } = await below.build("below", {
			agent: "stream",
			command: agent.command,
		});
		await page.goto("./");
		await page.getByRole("link", { name: "below" }).click();
		await page.waitForURL(`**/tools/hopline/builds/${sessionId}`);
		await agent.plan({ "live below a path": "in_progress" });
		await page.getByRole("heading", { name: "live below a path" }).waitFor();
		await agent.exit();
		await headOf(page).getByText("Completed", { exact: true }).waitFor();
		await page.goto(`traces/${traceId}`);
		await page.getByRole("treegrid", { name: "Spans" }).waitFor();
		for (const name of ["Explore", "Dashboards", "Runners"]) {
			await page.getByRole("link", { name, exact: true }).click();
			await page.waitForURL(`**/tools/hopline/${name.toLowerCase()}`);
		}
		await page.getByRole("table", { name: "Runners" }).waitFor();
		await agent.close();
	} finally {
		await below.stop();
	}
});

interface Spans {
	resourceSpans: {
		scopeSpans: { spans: { name: string; startTimeUnixNano: string }[] }[];
	}[];
}

test("a browser whose clock is a day off shows and sends the right times", async ({
	hopline,
	open,
}) => {
	const page = await open();
	await page.addInitScript(() => {
		const day = 86_400_000;
		const right = Date.now;
		Date.now = () => right() + day;
		Object.defineProperty(performance, "timeOrigin", { value: performance.timeOrigin + day });
	});
	const agent = await Agent.make();
	const { sessionId, traceId } = await hopline.build("day-off", {
		agent: "stream",
		command: agent.command,
	});
	await page.goto("/");
	const row = page.getByRole("row").filter({ hasText: "day-off" });
	await row.getByText(/just now|\d+\s?s ago/).waitFor();
	await openBuild(page, sessionId);
	await agent.plan({ "be on time": "in_progress" });
	await page.getByRole("heading", { name: "be on time" }).waitFor();
	expect(await headOf(page).textContent()).not.toMatch(/\d\s?(h|d)\b/);
	await agent.exit();

	const ofBrowser = async () => {
		const { resourceSpans } = await hopline.get<Spans>(`/api/traces/${traceId}?format=otlp`);
		const spans = resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((it) => it.spans));
		return spans.filter(({ name }) => name.startsWith("useBuildWebSocket."));
	};
	await expect.poll(async () => (await ofBrowser()).length).toBeGreaterThan(0);
	for (const { startTimeUnixNano } of await ofBrowser()) {
		const offMs = Number(BigInt(startTimeUnixNano) / 1_000_000n) - Date.now();
		expect(Math.abs(offMs)).toBeLessThan(60_000);
	}
	await agent.close();
});

test("runners tell how they are, and what they run", async ({ hopline, page }) => {
	const agent = await Agent.make();
	await hopline.build("being-run", { agent: "stream", command: agent.command });
	await page.goto("runners");
	const row = page.getByRole("row").filter({ hasText: "local" });
	await row.getByRole("link", { name: "being-run" }).waitFor();
	await row
		.getByText("Linked")
		.or(row.getByText("Up", { exact: true }))
		.first()
		.waitFor();
	await row.getByText(/^\d+\.\d+\.\d+/).waitFor();
	await page.getByText("1 of 1 linked").waitFor();
	await hopline.startRunner("another");
	await page.getByText("2 of 2 linked").waitFor();
	await agent.exit();
	await row.getByText("Nothing").waitFor();
	await agent.close();
});
