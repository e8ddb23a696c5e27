/** The runners in rows. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { get } from "../api/client";
import type { BuildList, BuildRow, Runner, RunnerStatus } from "../api/types";
import { useNow } from "../api/useNow";
import {
	Badge,
	cx,
	formatAgo,
	formatBytes,
	formatCount,
	formatElapsed,
	formatTimeExact,
	StatusBadge,
} from "../ui";
import styles from "./runners.module.css";
import { byRunner, clockWords } from "./view";

const POLL_MS = 2_000;

export function RunnerTable({ runners }: { runners: readonly Runner[] }) {
	const builds = useRunningBuilds();
	return (
		<table className={styles.table} aria-label="Runners">
			<thead>
				<tr className={styles.row}>
					<th scope="col">Runner</th>
					<th scope="col">Link</th>
					<th scope="col">Runs</th>
					<th scope="col" className={styles.number}>
						Load
					</th>
					<th scope="col" className={styles.number}>
						Outbox
					</th>
					<th scope="col" className={styles.number}>
						Clock
					</th>
					<th scope="col">Version</th>
					<th scope="col" className={styles.number}>
						Up for
					</th>
				</tr>
			</thead>
			<tbody>
				{runners.map((runner) => (
					<RunnerRow
						key={runner.id}
						runner={runner}
						builds={builds && (builds.get(runner.id) ?? [])}
					/>
				))}
			</tbody>
		</table>
	);
}

/** By runner; undefined until the server has said. */
function useRunningBuilds(): Map<string, BuildRow[]> | undefined {
	const { data } = useQuery({
		queryKey: ["builds", "running"],
		queryFn: ({ signal }) => get<BuildList>("api/builds?status=active&limit=500", { signal }),
		refetchInterval: POLL_MS,
	});
	return data && byRunner(data.builds);
}

interface RunnerRowProps {
	runner: Runner;
	builds: BuildRow[] | undefined;
}

function RunnerRow({ runner, builds }: RunnerRowProps) {
	const status = runner.status ?? {};
	const isLinked = runner.link === "up";
	// What one that is gone had to say about itself holds no more.
	const now = isLinked ? status : {};
	const clock = clockWords(now.clockOffsetNs);
	return (
		<tr className={cx(styles.row, !isLinked && styles.gone)}>
			<th scope="row" className={styles.name}>
				<span className={styles.id} title={runner.id}>
					{runner.id}
				</span>
				<span className={styles.host}>
					{[status.hostname, status.platform].filter(Boolean).join(" · ")}
				</span>
			</th>
			<td className={styles.link}>
				<LinkState runner={runner} />
			</td>
			<td className={styles.runs} data-label="Runs">
				{isLinked && builds ? <Runs status={status} builds={builds} /> : "–"}
			</td>
			<td className={styles.number} data-label="Load">
				{now.load?.toFixed(2) ?? "–"}
			</td>
			<td className={styles.number} data-label="Outbox">
				<Outbox status={now} />
			</td>
			<td
				className={cx(styles.number, clock.isOff && styles.warn)}
				data-label="Clock"
				title="How far its clock is ahead of its broker's. The times of its spans are corrected by that."
			>
				{clock.words}
			</td>
			<td className={styles.version} data-label="Version">
				{status.version ?? "–"}
			</td>
			<td className={styles.number} data-label="Up for">
				{isLinked && status.beganAt ? <UpFor since={status.beganAt} /> : "–"}
			</td>
		</tr>
	);
}

function LinkState({ runner }: { runner: Runner }) {
	const now = useNow(5_000);
	const seen = formatTimeExact(runner.lastSeenAt);
	const isStalled = runner.link === "up" && runner.status?.status === "stalled";
	return (
		<>
			<StatusBadge status={runner.link} plain title={`Last heard of ${seen}`} />
			{runner.link === "down" && (
				<span className={styles.muted}>{formatAgo(runner.lastSeenAt, now)}</span>
			)}
			{isStalled && (
				<Badge tone="error" title={String(runner.status?.outboxError ?? "Its disk takes nothing")}>
					Disk full
				</Badge>
			)}
		</>
	);
}

function Runs({ status, builds }: { status: RunnerStatus; builds: BuildRow[] }) {
	const servers = status.devServers ?? 0;
	const words = servers > 0 && `${servers} dev server${servers === 1 ? "" : "s"}`;
	// How many builds it counts itself is half a minute old at times: of a build that has ended it would still tell.
	if (builds.length === 0 && !words) return <span className={styles.muted}>Nothing</span>;
	return (
		<>
			{builds.map((build) => (
				<Link key={build.sessionId} to="/builds/$sessionId" params={{ sessionId: build.sessionId }}>
					{build.projectName ?? "a build"}
				</Link>
			))}
			{words}
		</>
	);
}

function Outbox({ status }: { status: RunnerStatus }) {
	const { eventsWaiting, outboxBytes } = status;
	if (eventsWaiting === undefined) return "–";
	if (eventsWaiting === 0) return <span className={styles.muted}>Empty</span>;
	return (
		<span title={outboxBytes ? `${formatBytes(outboxBytes)} on its disk` : undefined}>
			{formatCount(eventsWaiting)} event{eventsWaiting === 1 ? "" : "s"}
		</span>
	);
}

function UpFor({ since }: { since: string }) {
	const now = useNow();
	return formatElapsed(now - Date.parse(since));
}
