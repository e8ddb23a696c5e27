/** The way to the pages: in the bar at the top, on phones at the bottom, where thumbs are. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import { statusQuery } from "../../api/queries";
import { BuildsIcon, DashboardsIcon, ExploreIcon, RunnersIcon } from "../../ui";
import { rememberSignedIn } from "../signedIn";
import styles from "./navigation.module.css";

const STATUS_EVERY_MS = 5_000;

const PAGES = [
	{ to: "/", label: "Builds", Icon: BuildsIcon },
	{ to: "/explore", label: "Explore", Icon: ExploreIcon },
	{ to: "/dashboards", label: "Dashboards", Icon: DashboardsIcon },
	{ to: "/runners", label: "Runners", Icon: RunnersIcon },
] as const;

export function Navigation() {
	const running = useRunningBuilds();
	return (
		<nav className={styles.navigation} aria-label="Pages">
			<ul className={styles.pages}>
				{PAGES.map(({ to, label, Icon }) => (
					<li key={to}>
						<Link
							className={styles.page}
							to={to}
							activeOptions={{ exact: to === "/", includeSearch: false }}
							activeProps={{ "data-current": "" }}
						>
							<Icon className={styles.icon} />
							{label}
							{to === "/" && running > 0 && (
								<span className={styles.count} title={`${running} running`}>
									{running}
									<span className="visually-hidden"> running</span>
								</span>
							)}
						</Link>
					</li>
				))}
			</ul>
		</nav>
	);
}

/** How many builds run now. The first answer also tells that this browser is signed in. */
function useRunningBuilds(): number {
	const { data } = useQuery({ ...statusQuery(), refetchInterval: STATUS_EVERY_MS });
	const isSignedIn = data !== undefined;
	useEffect(() => {
		if (isSignedIn) rememberSignedIn();
	}, [isSignedIn]);
	return data?.runningBuilds ?? 0;
}
