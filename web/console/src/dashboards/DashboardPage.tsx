/** One dashboard: shown, and edited. */

import { useQuery } from "@tanstack/react-query";
import { Link, useBlocker } from "@tanstack/react-router";
import { ApiErrorNote } from "../api/ApiErrorNote";
import { buttonClass, ConfirmDialog, EmptyState, PageHeader, SkeletonRows } from "../ui";
import { ConflictDialog } from "./ConflictDialog";
import styles from "./dashboards.module.css";
import { Grid } from "./Grid";
import { Header } from "./Header";
import { type Listed, listed } from "./ready";
import { documentQuery } from "./store";
import { useDashboardTime } from "./useDashboardTime";
import { useEditing } from "./useEditing";

export function DashboardPage({ dashboardId }: { dashboardId: string }) {
	const { data, error, refetch } = useQuery(documentQuery());
	if (!data) {
		return (
			<>
				<PageHeader title="Dashboard" />
				<div className={styles.page}>
					{error ? (
						<ApiErrorNote
							error={error}
							title="The dashboard could not be read"
							onRetry={() => refetch()}
						/>
					) : (
						<SkeletonRows label="The dashboard is being read" />
					)}
				</div>
			</>
		);
	}
	const found = listed(data).find(({ dashboard }) => dashboard.id === dashboardId);
	return found ? <Loaded listed={found} /> : <Missing />;
}

function Loaded({ listed }: { listed: Listed }) {
	const editing = useEditing(listed);
	const time = useDashboardTime();
	const blocker = useBlocker({
		shouldBlockFn: ({ current, next }) => editing.isDirty && current.pathname !== next.pathname,
		enableBeforeUnload: editing.isDirty,
		withResolver: true,
	});
	return (
		<>
			<Header listed={listed} editing={editing} time={time} />
			<div className={styles.page}>
				<Grid editing={editing} time={time} />
			</div>
			{editing.conflict && <ConflictDialog editing={editing} theirs={editing.conflict} />}
			<ConfirmDialog
				open={blocker.status === "blocked"}
				onClose={() => blocker.reset?.()}
				title="Leave without saving?"
				description="What you have changed of this dashboard is not saved."
				keep="Stay"
				confirm="Leave"
				danger
				onConfirm={() => blocker.proceed?.()}
			/>
		</>
	);
}

function Missing() {
	return (
		<>
			<PageHeader title="Dashboard" />
			<EmptyState
				title="There is no such dashboard"
				action={
					<Link className={buttonClass()} to="/dashboards">
						All dashboards
					</Link>
				}
			>
				It may have been removed.
			</EmptyState>
		</>
	);
}
