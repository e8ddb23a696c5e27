/** The console as a whole: its cache, its addresses, and the way to the sign-in page and back. */
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { useEffect } from "react";
import { onSignedOut } from "../api/client";
import { newQueryClient } from "../api/queries";
import { UiProvider } from "../ui";
import { newRouter } from "./router";
import { given } from "./search";
import { forgetSignedIn, wasSignedIn } from "./signedIn";

const queryClient = newQueryClient();
const router = newRouter();

export function App() {
	useEffect(() => onSignedOut(goToSignIn), []);
	return (
		<QueryClientProvider client={queryClient}>
			<UiProvider>
				<RouterProvider router={router} />
			</UiProvider>
		</QueryClientProvider>
	);
}

/** Leads to the sign-in page, which leads back to where the reader was. */
function goToSignIn(): void {
	const { pathname, href } = router.latestLocation;
	if (pathname === "/signin") return;
	const reason = wasSignedIn() ? ("ended" as const) : undefined;
	forgetSignedIn();
	queryClient.cancelQueries();
	const search = given({ to: href === "/" ? undefined : href, reason });
	router.navigate({ to: "/signin", search, replace: true });
}
