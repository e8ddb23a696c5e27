/** What every page stands in: the shell, except for the sign-in page, which has none. */
import { Outlet, useMatch } from "@tanstack/react-router";
import { Shell } from "./shell/Shell";

export function Root() {
	const isSignIn = useMatch({ from: "/signin", shouldThrow: false }) !== undefined;
	if (isSignIn) return <Outlet />;
	return (
		<Shell>
			<Outlet />
		</Shell>
	);
}
