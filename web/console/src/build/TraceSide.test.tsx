import {
	createMemoryHistory,
	createRootRoute,
	createRouter,
	RouterProvider,
} from "@tanstack/react-router";
import { render, screen } from "@testing-library/react";
import { expect, test } from "vitest";
import { TraceModel } from "../trace";
import { withLayout } from "../trace/fixtures/layout";
import { outlineOf } from "../trace/fixtures/outline";
import { UiProvider } from "../ui";
import { TraceSide } from "./TraceSide";

withLayout();

test("what is missing of a build's trace is told beside it", async () => {
	const lines = [{ id: "aaaa", name: "runner.build", start: 0, duration: 3_000_000 }];
	const outline = outlineOf(lines, { missing: { dropped: 1, leftOut: 41 } });
	const trace = { isLoading: false, isUnknown: false, error: null, reload() {} };
	const side = () => (
		<UiProvider>
			<TraceSide
				traceId="t"
				trace={{ ...trace, model: new TraceModel(outline, null) }}
				isActive={false}
				selected={undefined}
				onSelect={() => {}}
				highlighted={new Set()}
				onHover={() => {}}
			/>
		</UiProvider>
	);
	const router = createRouter({
		routeTree: createRootRoute({ component: side }),
		history: createMemoryHistory({ initialEntries: ["/"] }),
	});
	render(<RouterProvider router={router as never} />);
	expect(await screen.findByText("1 span dropped")).toBeTruthy();
	expect(screen.getByText("41 more not shown")).toBeTruthy();
});
