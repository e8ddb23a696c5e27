/** The builds: what runs, what ran, and how it went. */
import { useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { ApiErrorNote } from "../api/ApiErrorNote";
import { hasCode } from "../api/client";
import { statusQuery } from "../api/queries";
import type { BuildRow } from "../api/types";
import { Button, EmptyState, PageHeader, PlayIcon, SearchIcon, SkeletonRows } from "../ui";
import { BuildTable } from "./BuildTable";
import styles from "./builds.module.css";
import { CancelDialog } from "./CancelDialog";
import { Filters } from "./Filters";
import { FirstVisit } from "./FirstVisit";
import { StartDialog } from "./start/StartDialog";
import { type Builds, useBuilds } from "./useBuilds";

export function Page() {
	const search = useSearch({ from: "/" });
	const builds = useBuilds(search);
	const [starting, setStarting] = useState(false);
	const isFiltered = Boolean(search.status || search.project || search.q);
	const isFirstVisit = builds.builds?.length === 0 && !isFiltered;

	return (
		<>
			<PageHeader title="Builds" meta={<Summary />}>
				{!isFirstVisit && (
					<Button variant="primary" icon={<PlayIcon size={14} />} onClick={() => setStarting(true)}>
						Start a build
					</Button>
				)}
			</PageHeader>
			{isFirstVisit ? (
				<FirstVisit onStart={() => setStarting(true)} />
			) : (
				<>
					<Filters />
					<List builds={builds} />
				</>
			)}
			<StartDialog open={starting} onClose={() => setStarting(false)} />
		</>
	);
}

/** What goes on, in a line. */
function Summary() {
	const { data: status } = useQuery(statusQuery());
	if (!status) return " ";
	const { runningBuilds, runners } = status;
	const linked = runners.length === 1 ? "1 runner linked" : `${runners.length} runners linked`;
	return `${runningBuilds === 0 ? "Nothing" : runningBuilds} running · ${linked}`;
}

function List({ builds: { builds, rates, error, retry, ...more } }: { builds: Builds }) {
	const [cancelling, setCancelling] = useState<BuildRow>();
	if (!builds) {
		return (
			<div className={styles.frame}>
				{error ? (
					<div className={styles.error}>
						<ApiErrorNote title="The builds could not be read" error={error} onRetry={retry} />
					</div>
				) : (
					<SkeletonRows label="Reading the builds" rows={8} />
				)}
			</div>
		);
	}
	return (
		<div className={styles.frame}>
			{Boolean(error) && !hasCode(error, "unreachable") && (
				<div className={styles.error}>
					<ApiErrorNote title="The list could not be read anew" error={error} onRetry={retry} />
				</div>
			)}
			{builds.length > 0 ? (
				<BuildTable builds={builds} rates={rates} onCancel={setCancelling} />
			) : (
				<EmptyState icon={<SearchIcon size={24} />} title="No build is like that">
					Try other words, or fewer filters.
				</EmptyState>
			)}
			<Foot {...more} />
			<CancelDialog build={cancelling} onClose={() => setCancelling(undefined)} />
		</div>
	);
}

function Foot({
	older,
	isReadingOlder,
	searched,
}: Pick<Builds, "older" | "isReadingOlder" | "searched">) {
	const { q } = useSearch({ from: "/" });
	if (!older) return null;
	return (
		<div className={styles.foot}>
			{q && `Searched the newest ${searched}.`}
			<Button size="small" busy={isReadingOlder} onClick={older}>
				{q ? "Search older ones" : "Show older ones"}
			</Button>
		</div>
	);
}
