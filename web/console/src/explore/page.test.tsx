import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import {
	createMemoryHistory,
	createRootRoute,
	createRoute,
	createRouter,
	Outlet,
	RouterProvider,
} from "@tanstack/react-router";
import { act, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { UiProvider } from "../ui";
import { recentQuestions } from "./history";
import { Page } from "./page";
import { validateSearch } from "./search";

const ANSWER = {
	columns: [
		{ name: "op", unit: "plain" },
		{ name: "count(spans)", unit: "plain" },
	],
	rows: [["db.query", 7]],
	more: false,
};

/** Questions that the server was asked, and what it answers. */
let asked: string[];
let answer: (question: string) => Response | Promise<Response>;

beforeEach(() => {
	localStorage.clear();
	asked = [];
	answer = () => Response.json(ANSWER);
	vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(600);
	vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
		const { pathname, searchParams } = new URL(url);
		if (pathname === "/api/dashboards") {
			return Response.json({ version: 0, dashboards: [], saved: [] });
		}
		const question = searchParams.get("q") ?? JSON.parse(String(init.body)).sql;
		asked.push(question);
		return answer(question);
	});
});

afterEach(() => {
	vi.unstubAllGlobals();
	vi.restoreAllMocks();
});

async function visit(path: string) {
	const root = createRootRoute({ component: Outlet });
	const explore = createRoute({
		getParentRoute: () => root,
		path: "/explore",
		validateSearch,
		component: Page,
	});
	const router = createRouter({
		routeTree: root.addChildren([explore]),
		history: createMemoryHistory({ initialEntries: [path] }),
	});
	await act(async () => {
		render(
			<UiProvider>
				<QueryClientProvider
					client={new QueryClient({ defaultOptions: { queries: { retry: false } } })}
				>
					<RouterProvider router={router as never} />
				</QueryClientProvider>
			</UiProvider>,
		);
	});
	return router;
}

const field = () => screen.getByRole("textbox") as HTMLTextAreaElement;
const write = (text: string) => fireEvent.change(field(), { target: { value: text } });
const ask = () => fireEvent.keyDown(field(), { key: "Enter", ctrlKey: true });
const link = (question: string) => `/explore?q=${encodeURIComponent(question)}`;

describe("a question", () => {
	test("in the address is asked at once", async () => {
		await visit(link("count(spans) by op"));
		expect(await screen.findByText("db.query")).toBeDefined();
		expect(field().value).toBe("count(spans) by op");
		expect(asked).toEqual(["count(spans) by op"]);
	});

	test("that is asked stands in the address and is remembered", async () => {
		const router = await visit("/explore");
		write("count(spans) by op");
		ask();
		expect(await screen.findByText("db.query")).toBeDefined();
		expect(router.state.location.search).toEqual({ q: "count(spans) by op" });
		expect(recentQuestions()).toEqual(["count(spans) by op"]);
	});

	test("is asked once, and what was asked before it not again", async () => {
		await visit(link("count(spans) by op"));
		await screen.findByText("db.query");
		write("count(spans) by name");
		ask();
		await waitFor(() => expect(asked).toContain("count(spans) by name"));
		// The editor asks for the fields there are.
		const counts = asked.filter((question) => question.startsWith("count"));
		expect(counts).toEqual(["count(spans) by op", "count(spans) by name"]);
	});

	test("that has been answered can be asked again", async () => {
		await visit(link("count(spans) by op"));
		await screen.findByText("db.query");
		ask();
		await waitFor(() => expect(asked).toEqual(["count(spans) by op", "count(spans) by op"]));
	});

	test("that tells by time is shown over time", async () => {
		const router = await visit(link("count(spans) per 1m"));
		expect(screen.getByRole("button", { name: "Time series" }).getAttribute("aria-pressed")).toBe(
			"true",
		);
		expect(router.state.location.search).toEqual({ q: "count(spans) per 1m" });
	});

	test("can be given up while it is answered", async () => {
		answer = () => new Promise<Response>(() => undefined);
		await visit(link("spans"));
		fireEvent.click(screen.getByRole("button", { name: "Cancel" }));
		expect(await screen.findByText("Cancelled")).toBeDefined();
		answer = () => Response.json(ANSWER);
		fireEvent.click(screen.getByRole("button", { name: "Ask again" }));
		expect(await screen.findByText("db.query")).toBeDefined();
	});

	test("in SQL goes to SQL, whatever was asked before", async () => {
		const router = await visit("/explore");
		write("select op from spans");
		ask();
		expect(await screen.findByText("db.query")).toBeDefined();
		expect(screen.getByRole("textbox", { name: "SQL" })).toBeDefined();
		expect(router.state.location.search).toEqual({ q: "select op from spans" });
	});

	test("is asked about another time by one press", async () => {
		await visit(link("count(spans) by op since 1h"));
		fireEvent.click(screen.getByRole("button", { name: "Time: Last hour" }));
		fireEvent.click(await screen.findByRole("menuitem", { name: "Last 7 days" }));
		await waitFor(() => expect(asked.at(-1)).toBe("count(spans) by op since 7d"));
		expect(field().value).toBe("count(spans) by op since 7d");
	});
});

describe("a mistake", () => {
	beforeEach(() => {
		answer = (question) =>
			question.includes("wher ")
				? Response.json(
						{
							error: "`wher` is not expected here",
							code: "bad_query",
							start: 13,
							end: 17,
							expected: ["where"],
							suggestion: "where",
						},
						{ status: 400 },
					)
				: Response.json(ANSWER);
	});

	test("is told at its place, and put right by one press", async () => {
		await visit(link("count(spans) wher op:x"));
		const correction = await screen.findByRole("button", { name: "Change to where" });
		expect(field().getAttribute("aria-invalid")).toBe("true");
		fireEvent.click(correction);
		expect(await screen.findByText("db.query")).toBeDefined();
		expect(asked.at(-1)).toBe("count(spans) where op:x");
	});

	test("is not told any more of a question that was changed", async () => {
		await visit(link("count(spans) wher op:x"));
		await screen.findByRole("button", { name: "Change to where" });
		write("count(spans) wher op:xy");
		expect(screen.queryByRole("button", { name: "Change to where" })).toBeNull();
	});
});

test("an answer that takes too long is told with what would help", async () => {
	answer = () => Response.json({ error: "30 s", code: "too_long" }, { status: 422 });
	await visit(link("spans"));
	expect(await screen.findByText("That took too long")).toBeDefined();
});
