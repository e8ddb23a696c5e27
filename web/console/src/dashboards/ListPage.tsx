/** All dashboards: those that come with Hopline, and those that were made. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { ApiErrorNote } from "../api/ApiErrorNote";
import { Badge, Button, PageHeader, PlusIcon, SkeletonRows } from "../ui";
import { DashboardMenu } from "./DashboardMenu";
import styles from "./dashboards.module.css";
import { ImportButton } from "./ImportButton";
import { NewDialog } from "./NewDialog";
import { type Listed, listed } from "./ready";
import { documentQuery } from "./store";

export function ListPage() {
	const { data, error, refetch } = useQuery(documentQuery());
	const [isNew, setIsNew] = useState(false);
	const all = data ? listed(data) : undefined;
	return (
		<>
			<PageHeader title="Dashboards">
				<ImportButton />
				<Button variant="primary" icon={<PlusIcon size={14} />} onClick={() => setIsNew(true)}>
					New dashboard
				</Button>
			</PageHeader>
			<div className={styles.page}>
				{error && !data && (
					<ApiErrorNote
						error={error}
						title="The dashboards could not be read"
						onRetry={() => refetch()}
					/>
				)}
				{!all && !error && <SkeletonRows label="The dashboards are being read" />}
				{all && (
					<ul className={styles.list}>
						{all.map((one) => (
							<Item key={one.dashboard.id} listed={one} />
						))}
					</ul>
				)}
			</div>
			{isNew && <NewDialog onClose={() => setIsNew(false)} />}
		</>
	);
}

function Item({ listed }: { listed: Listed }) {
	const { dashboard, isReadyMade, isKept } = listed;
	const { panels } = dashboard;
	return (
		<li className={styles.item}>
			<div className={styles.about}>
				<Link
					className={styles.link}
					to="/dashboards/$dashboardId"
					params={{ dashboardId: dashboard.id }}
				>
					<bdi>{dashboard.name}</bdi>
				</Link>
				<p className={styles.titles}>
					{panels.length === 0 ? "No panels yet" : panels.map(({ title }) => title).join(" · ")}
				</p>
			</div>
			{isReadyMade && <Badge>{isKept ? "Ready-made, edited" : "Ready-made"}</Badge>}
			<DashboardMenu listed={listed} />
		</li>
	);
}
