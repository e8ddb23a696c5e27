import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import {
	createMemoryHistory,
	createRootRoute,
	createRoute,
	createRouter,
	Outlet,
	RouterProvider,
} from "@tanstack/react-router";
import { act, fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { UiProvider } from "../ui";
import type { DashboardDocument, Panel } from "./model";
import { Page } from "./page";
import { validateSearch } from "./search";

const panel = (id: string, x: number, y: number): Panel => ({
	...{ id, title: `Panel ${id}`, query: "count(spans)", view: "number" },
	...{ x, y, w: 3, h: 3 },
});

/** What the server keeps, and the questions that it was asked. */
let kept: DashboardDocument;
let asked: string[];
/** What the server fails to do for now: the path. */
let failing: string | undefined;

beforeEach(() => {
	asked = [];
	failing = undefined;
	kept = {
		version: 4,
		saved: [],
		dashboards: [{ id: "mine", name: "Mine", panels: [panel("a", 0, 0), panel("b", 0, 3)] }],
	};
	vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
		const { pathname, searchParams } = new URL(url);
		if (pathname === failing) {
			const body = { error: "no database", code: "database_unavailable" };
			return Response.json(body, { status: 503 });
		}
		if (pathname !== "/api/dashboards") {
			asked.push(searchParams.get("q") ?? "");
			const columns = [{ name: "count(spans)", unit: "plain" }];
			return Response.json({ columns, rows: [[42]], more: false });
		}
		if (init.method !== "PUT") return Response.json(kept);
		const given = JSON.parse(String(init.body)) as DashboardDocument;
		if (given.version !== kept.version) {
			return Response.json({ error: "changed", code: "changed" }, { status: 409 });
		}
		kept = { ...given, version: kept.version + 1 };
		return Response.json({ version: kept.version });
	});
});

afterEach(() => {
	vi.unstubAllGlobals();
});

async function visit(path: string) {
	const root = createRootRoute({ component: Outlet });
	const at = (path: string) => createRoute({ getParentRoute: () => root, path, component: Page });
	const list = at("/dashboards");
	const one = createRoute({
		getParentRoute: () => root,
		path: "/dashboards/$dashboardId",
		validateSearch,
		component: Page,
	});
	const explore = createRoute({
		getParentRoute: () => root,
		path: "/explore",
		component: () => <p>Explore</p>,
	});
	const router = createRouter({
		routeTree: root.addChildren([list, one, explore]),
		history: createMemoryHistory({ initialEntries: [path] }),
	});
	const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
	const page = (
		<UiProvider>
			<QueryClientProvider client={client}>
				{/* The routes are the console's, but for those that no test goes to. */}
				<RouterProvider router={router as never} />
			</QueryClientProvider>
		</UiProvider>
	);
	await act(async () => {
		render(page);
	});
	return router;
}

const button = (name: string | RegExp) => screen.getByRole("button", { name });
const press = (name: string, key: string) => fireEvent.keyDown(button(name), { key });
const saved = () => kept.dashboards[0]?.panels.map(({ id, x, y, w, h }) => [id, x, y, w, h]);

describe("a dashboard", () => {
	test("shows each panel's answer about the time that the address says", async () => {
		await visit("/dashboards/mine?since=6h");
		expect(await screen.findAllByText("42")).toHaveLength(2);
		expect(new Set(asked)).toEqual(new Set(["count(spans) since 6h"]));
	});

	test("says of figures that could not be refreshed that they are old", async () => {
		await visit("/dashboards/mine");
		expect(await screen.findAllByText("42")).toHaveLength(2);
		expect(screen.queryByText(/Not refreshed/)).toBeNull();
		failing = "/api/query";
		fireEvent.click(button("Refresh now"));
		expect(await screen.findAllByText(/Not refreshed since .* The database is busy/)).toHaveLength(
			2,
		);
		expect(screen.getAllByText("42")).toHaveLength(2);
		failing = undefined;
		fireEvent.click(button("Refresh now"));
		await waitFor(() => expect(screen.queryByText(/Not refreshed/)).toBeNull());
	});

	test("that could not be copied says so, and can be copied again", async () => {
		const router = await visit("/dashboards/mine");
		failing = "/api/dashboards";
		fireEvent.click(await screen.findByRole("button", { name: "More of “Mine”" }));
		fireEvent.click(await screen.findByRole("menuitem", { name: "Make a copy" }));
		const dialog = await screen.findByRole("dialog", { name: "“Mine” was not copied" });
		expect(within(dialog).getByText(/The database is busy/)).toBeDefined();
		failing = undefined;
		fireEvent.click(within(dialog).getByRole("button", { name: "Try again" }));
		await waitFor(() => expect(kept.dashboards.map(({ name }) => name)).toContain("Mine (copy)"));
		await waitFor(() => expect(router.state.location.pathname).not.toBe("/dashboards/mine"));
	});

	test("is arranged by keys and saved", async () => {
		await visit("/dashboards/mine");
		fireEvent.click(await screen.findByRole("button", { name: "Edit" }));
		press("Move “Panel a”", "ArrowDown");
		press("Move “Panel a”", "ArrowRight");
		press("Resize “Panel a”", "ArrowRight");
		press("Resize “Panel a”", "ArrowDown");
		// The panel had moved below the other one; a step to the right leaves it there.
		expect(screen.getByText(/Panel a: column 2, row 4, 4 wide, 4 high/)).toBeDefined();
		fireEvent.click(button("Save"));
		await waitFor(() => expect(kept.version).toBe(5));
		expect(saved()).toEqual([
			["b", 0, 0, 3, 3],
			["a", 1, 3, 4, 4],
		]);
		expect(await screen.findByRole("button", { name: "Edit" })).toBeDefined();
	});

	test("is as it was once changes are discarded", async () => {
		await visit("/dashboards/mine");
		fireEvent.click(await screen.findByRole("button", { name: "Edit" }));
		fireEvent.change(screen.getByLabelText("Name"), { target: { value: "Other" } });
		expect(screen.getByRole("heading", { level: 1 }).textContent).toBe("Other");
		fireEvent.click(button("Discard"));
		expect(screen.getByRole("heading", { level: 1 }).textContent).toBe("Mine");
		expect(kept.version).toBe(4);
	});

	test("that somebody else has saved meanwhile is overwritten only by whoever wants to", async () => {
		await visit("/dashboards/mine");
		fireEvent.click(await screen.findByRole("button", { name: "Edit" }));
		press("Move “Panel a”", "ArrowRight");
		kept = { version: 5, saved: [], dashboards: [{ id: "mine", name: "Theirs", panels: [] }] };
		fireEvent.click(button("Save"));
		const dialog = await screen.findByRole("dialog", { name: /Somebody else has saved/ });
		expect(kept.dashboards[0]?.name).toBe("Theirs");
		fireEvent.click(within(dialog).getByRole("button", { name: "Overwrite with mine" }));
		await waitFor(() => expect(kept.dashboards[0]?.name).toBe("Mine"));
	});

	test("of an unknown id is said not to be there", async () => {
		await visit("/dashboards/none");
		expect(await screen.findByText("There is no such dashboard")).toBeDefined();
	});
});

describe("the list", () => {
	test("has what comes with Hopline and what was made", async () => {
		await visit("/dashboards");
		const names = (await screen.findAllByRole("link")).map(({ textContent }) => textContent);
		expect(names).toEqual(["Path of events", "Hop latencies", "Failures", "Mine"]);
	});
});
