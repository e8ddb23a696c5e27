/** The console as a whole: its cache, its addresses, and the way to the sign-in page and back. */
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { useEffect } from "react";
import { onSignedOut } from "../api/client";
import { newQueryClient } from "../api/queries";
import { UiProvider } from "../ui";
import { newRouter } from "./router";

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
	queryClient.cancelQueries();
	router.navigate({ to: "/signin", search: href === "/" ? {} : { to: href }, replace: true });
}
