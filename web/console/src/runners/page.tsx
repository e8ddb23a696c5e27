/** The runners: whether they are linked, how they are, and what they run. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ApiErrorNote, adviceFor } from "../api/ApiErrorNote";
import { hasCode } from "../api/client";
import { runnersQuery } from "../api/queries";
import {
	CopyButton,
	EmptyState,
	NotRefreshed,
	PageHeader,
	RunnersIcon,
	SkeletonRows,
	Toggle,
} from "../ui";
import { RunnerTable } from "./RunnerTable";
import styles from "./runners.module.css";
import { arranged } from "./view";

const POLL_MS = 2_000;

const COMMAND = "hopline runner";

export function Page() {
	const { data, error, refetch, dataUpdatedAt } = useQuery({
		...runnersQuery(),
		refetchInterval: POLL_MS,
	});
	const [withPast, setWithPast] = useState(false);
	const { lasting, past } = arranged(data ?? []);
	const shown = withPast ? [...lasting, ...past] : lasting;
	const linked = lasting.filter(({ link }) => link === "up").length;

	return (
		<>
			<PageHeader title="Runners" meta={data ? `${linked} of ${lasting.length} linked` : " "}>
				{past.length > 0 && (
					<Toggle pressed={withPast} onChange={setWithPast}>
						Those of past runs ({past.length})
					</Toggle>
				)}
			</PageHeader>
			<div className={styles.frame}>
				{/* That the server is away is told by the shell. */}
				{data && error && !hasCode(error, "unreachable") && (
					<NotRefreshed since={dataUpdatedAt}>{adviceFor(error)}</NotRefreshed>
				)}
				{data ? (
					shown.length > 0 ? (
						<RunnerTable runners={shown} />
					) : (
						<NoRunner />
					)
				) : error ? (
					<div className={styles.error}>
						<ApiErrorNote title="The runners could not be read" error={error} onRetry={refetch} />
					</div>
				) : (
					<SkeletonRows label="Reading the runners" rows={3} />
				)}
			</div>
		</>
	);
}

function NoRunner() {
	return (
		<EmptyState
			icon={<RunnersIcon size={24} />}
			title="No runner is there"
			action={
				<>
					<code className={styles.command}>{COMMAND}</code>
					<CopyButton text={COMMAND} label="Copy the command" />
				</>
			}
		>
			A runner executes builds in its projects' folders. <code>hopline up</code> brings one along;
			start more on this or another machine:
		</EmptyState>
	);
}
