/**
 * The console's addresses. Pages are loaded when they are first visited; only what reads their filters from the address
 * (`search.ts` of each) comes with the first load.
 */
import {
	createRootRoute,
	createRoute,
	createRouter,
	lazyRouteComponent,
} from "@tanstack/react-router";
import { validateSearch as validateBuildSearch } from "../build/search";
import { validateSearch as validateBuildsSearch } from "../builds/search";
import { validateSearch as validateDashboardSearch } from "../dashboards/search";
import { validateSearch as validateExploreSearch } from "../explore/search";
import { validateSearch as validateTraceSearch } from "../trace/search";
import { Root } from "./Root";
import { parseSearch, stringifySearch } from "./search";
import { validateSearch as validateSignInSearch } from "./signin/search";
import { NotFound, PageError, PageLoading } from "./states";

const root = createRootRoute({ component: Root });

const builds = createRoute({
	getParentRoute: () => root,
	path: "/",
	validateSearch: validateBuildsSearch,
	component: lazyRouteComponent(() => import("../builds/page"), "Page"),
});

const build = createRoute({
	getParentRoute: () => root,
	path: "/builds/$sessionId",
	validateSearch: validateBuildSearch,
	component: lazyRouteComponent(() => import("../build/page"), "Page"),
});

const trace = createRoute({
	getParentRoute: () => root,
	path: "/traces/$traceId",
	validateSearch: validateTraceSearch,
	component: lazyRouteComponent(() => import("../trace/page"), "Page"),
});

const explore = createRoute({
	getParentRoute: () => root,
	path: "/explore",
	validateSearch: validateExploreSearch,
	component: lazyRouteComponent(() => import("../explore/page"), "Page"),
});

const dashboards = createRoute({
	getParentRoute: () => root,
	path: "/dashboards",
	component: lazyRouteComponent(() => import("../dashboards/page"), "Page"),
});

const dashboard = createRoute({
	getParentRoute: () => root,
	path: "/dashboards/$dashboardId",
	validateSearch: validateDashboardSearch,
	component: lazyRouteComponent(() => import("../dashboards/page"), "Page"),
});

const runners = createRoute({
	getParentRoute: () => root,
	path: "/runners",
	component: lazyRouteComponent(() => import("../runners/page"), "Page"),
});

const signIn = createRoute({
	getParentRoute: () => root,
	path: "/signin",
	validateSearch: validateSignInSearch,
	component: lazyRouteComponent(() => import("./signin/page"), "Page"),
});

const routeTree = root.addChildren([
	builds,
	build,
	trace,
	explore,
	dashboards,
	dashboard,
	runners,
	signIn,
]);

export function newRouter() {
	return createRouter({
		routeTree,
		basepath: new URL(document.baseURI).pathname,
		parseSearch,
		stringifySearch,
		defaultPreload: "intent",
		defaultPendingComponent: PageLoading,
		defaultErrorComponent: PageError,
		defaultNotFoundComponent: NotFound,
		scrollRestoration: true,
	});
}

declare module "@tanstack/react-router" {
	interface Register {
		router: ReturnType<typeof newRouter>;
	}
}
