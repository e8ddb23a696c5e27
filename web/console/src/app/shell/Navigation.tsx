/** The way to the pages: in the bar at the top, on phones at the bottom, where thumbs are. */
import { Link } from "@tanstack/react-router";
import { BuildsIcon, DashboardsIcon, ExploreIcon, RunnersIcon } from "../../ui";
import styles from "./navigation.module.css";

const PAGES = [
	{ to: "/", label: "Builds", Icon: BuildsIcon },
	{ to: "/explore", label: "Explore", Icon: ExploreIcon },
	{ to: "/dashboards", label: "Dashboards", Icon: DashboardsIcon },
	{ to: "/runners", label: "Runners", Icon: RunnersIcon },
] as const;

export function Navigation() {
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
						</Link>
					</li>
				))}
			</ul>
		</nav>
	);
}
