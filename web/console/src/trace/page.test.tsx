import { QueryClientProvider } from "@tanstack/react-query";
import {
	createMemoryHistory,
	createRootRoute,
	createRoute,
	createRouter,
	RouterProvider,
} from "@tanstack/react-router";
import { act, fireEvent, render, screen, within } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { newQueryClient } from "../api/queries";
import { parseSearch, stringifySearch } from "../app/search";
import { UiProvider } from "../ui";
import type { WholeSpan } from "./detail/span";
import { withLayout } from "./fixtures/layout";
import { outlineOf, type SpanLine } from "./fixtures/outline";
import { Page } from "./page";
import { validateSearch } from "./search";

withLayout();

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const answers = new Map<string, () => Response>();
const json = (body: unknown, status = 200) => new Response(JSON.stringify(body), { status });
const notFound = () => json({ error: "there is none", code: "not_found" }, 404);

beforeEach(() => {
	answers.clear();
	vi.stubGlobal("fetch", async (address: string) => {
		const { pathname } = new URL(address);
		return (answers.get(pathname) ?? notFound)();
	});
});

afterEach(() => {
	vi.unstubAllGlobals();
});

const lines: SpanLine[] = [
	{ id: "aaaa", name: "runner.build", start: 0, duration: 3_000_000 },
	{
		id: "bbbb",
		parent: "aaaa",
		name: "runner.tool.Bash",
		start: 1_000_000,
		duration: 1_000_000,
		status: 2,
		seq: 7,
	},
];

const whole: WholeSpan = {
	span: {
		traceId: TRACE,
		spanId: "bbbb",
		name: "runner.tool.Bash",
		startTimeUnixNano: "1764514411966219000",
		endTimeUnixNano: "1764514411967219000",
		status: { code: 2, message: "exit status 101" },
		attributes: [
			{ key: "event.seq", value: { intValue: "7" } },
			{ key: "gen_ai.tool.name", value: { stringValue: "<b>Bash</b>" } },
		],
		events: [
			{
				timeUnixNano: "1764514411967000000",
				name: "exception",
				attributes: [{ key: "exception.message", value: { stringValue: "it broke" } }],
			},
		],
		links: [
			{ traceId: TRACE, spanId: "aaaa" },
			{ traceId: "f".repeat(32), spanId: "cccc" },
		],
	},
	resource: { attributes: [{ key: "service.version", value: { stringValue: "1.2.3" } }] },
	scope: { name: "hopline" },
};

function has(build: "active" | "completed" | null, spans: SpanLine[] | null = lines): void {
	if (spans) answers.set(`/api/traces/${TRACE}`, () => json(outlineOf(spans)));
	answers.set(`/api/traces/${TRACE}/spans/bbbb`, () => json(whole));
	if (build)
		answers.set(`/api/builds/${TRACE}`, () =>
			json({ sessionId: "s", status: build, projectName: "Shop" }),
		);
}

async function open(query = "") {
	const root = createRootRoute();
	const route = createRoute({
		getParentRoute: () => root,
		path: "/traces/$traceId",
		validateSearch,
		component: Page,
	});
	const elsewhere = ["/", "/explore", "/builds/$sessionId"].map((path) =>
		createRoute({ getParentRoute: () => root, path, component: () => path }),
	);
	const router = createRouter({
		routeTree: root.addChildren([route, ...elsewhere]),
		history: createMemoryHistory({ initialEntries: [`/traces/${TRACE}${query}`] }),
		parseSearch,
		stringifySearch,
	});
	render(
		<QueryClientProvider client={newQueryClient()}>
			<UiProvider>
				{/* The console's own router has more pages: this one stands for it. */}
				<RouterProvider router={router as never} />
			</UiProvider>
		</QueryClientProvider>,
	);
	await act(async () => {});
	return router;
}

describe("a trace's page", () => {
	test("says what the trace is of, and how it went", async () => {
		has("completed");
		await open();
		expect(await screen.findByRole("heading", { level: 1, name: "Shop" })).toBeTruthy();
		const head = screen.getByRole("banner");
		expect(head.textContent).toMatch(/Completed.*3\sms.*2 spans.*1 error/);
		expect(within(head).getByRole("link", { name: "Show the build" }).getAttribute("href")).toBe(
			"/builds/s",
		);
	});

	test("of an unknown id says so calmly", async () => {
		await open();
		expect(await screen.findByText("There is no trace of this id")).toBeTruthy();
		expect(screen.getByRole("button", { name: "Look again" })).toBeTruthy();
	});

	test("without spans yet, of a build that runs, waits and says so", async () => {
		has("active", null);
		await open();
		expect(await screen.findByText("Waiting for the first spans")).toBeTruthy();
	});

	test("of a build that left none says why that may be", async () => {
		has("completed", null);
		await open();
		expect(await screen.findByText("This build has no spans")).toBeTruthy();
	});

	test("that cannot be read says what to do", async () => {
		answers.set(`/api/traces/${TRACE}`, () =>
			json({ error: "not a trace id", code: "bad_request" }, 400),
		);
		await open();
		expect((await screen.findByRole("alert")).textContent).toContain("Not a trace id.");
	});

	test("led to a span shows it, and its details", async () => {
		has("completed");
		await open("?span=bbbb");
		const panel = await screen.findByRole("complementary", { name: "Span" });
		expect(within(panel).getByRole("heading", { level: 2 }).textContent).toBe("runner.tool.Bash");
		expect(await within(panel).findByText("exit status 101")).toBeTruthy();
		expect(within(panel).getByText("it broke")).toBeTruthy();
		expect(within(panel).getByText("<b>Bash</b>")).toBeTruthy();
		expect(panel.textContent).toMatch(/Duration1\sms/);
	});

	test("a span's details lead on: to its parent, to other traces, to Explore", async () => {
		has("completed");
		const router = await open("?span=bbbb");
		const panel = await screen.findByRole("complementary", { name: "Span" });
		const explore = within(panel).getByRole("link", { name: "Show in Explore" });
		expect(new URL(explore.getAttribute("href") ?? "", "http://x").searchParams.get("q")).toBe(
			"spans where name:runner.tool.Bash",
		);
		const other = await within(panel).findByRole("link", { name: /Trace fffffff/ });
		expect(other.getAttribute("href")).toBe(`/traces/${"f".repeat(32)}?span=cccc`);
		const parent = within(within(panel).getByRole("region", { name: "Parent" })).getByRole(
			"button",
		);
		fireEvent.click(parent);
		await vi.waitFor(() => expect(router.state.location.search).toEqual({ span: "aaaa" }));
	});

	test("keeps the selected span and the filters in its address", async () => {
		has("completed");
		const router = await open();
		fireEvent.click(await screen.findByRole("button", { name: /^Errors/ }));
		fireEvent.click(screen.getByText("runner.tool.Bash"));
		await vi.waitFor(() =>
			expect(router.state.location.search).toEqual({ errors: "true", span: "bbbb" }),
		);
		const close = screen.getByRole("button", { name: "Close" });
		close.focus();
		fireEvent.click(close);
		await vi.waitFor(() => expect(router.state.location.search).toEqual({ errors: "true" }));
		await vi.waitFor(() => expect(document.activeElement?.getAttribute("role")).toBe("row"));
	});
});
