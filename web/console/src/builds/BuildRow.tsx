/** One build in the list. All of the row leads to its page. */
import { Link } from "@tanstack/react-router";
import { memo, type Ref } from "react";
import type { BuildRow as Build } from "../api/types";
import { useNow } from "../api/useNow";
import {
	Badge,
	formatAgo,
	formatCount,
	formatRate,
	formatTimeExact,
	IconButton,
	StatusBadge,
	StopIcon,
} from "../ui";
import styles from "./builds.module.css";
import { Elapsed } from "./Elapsed";
import { isCancelled, Progress } from "./Progress";

export interface BuildRowProps {
	build: Build;
	index: number;
	/** Events a second, once it is known. */
	rate: number | undefined;
	onCancel(build: Build): void;
	ref: Ref<HTMLTableRowElement>;
}

export const BuildRow = memo(function BuildRow({
	build,
	index,
	rate,
	onCancel,
	ref,
}: BuildRowProps) {
	const name = build.projectName ?? build.projectSlug ?? build.projectId.slice(0, 8);
	return (
		<tr ref={ref} className={styles.row} data-index={index} aria-rowindex={index + 2}>
			<td className={styles.status}>
				<Status build={build} />
			</td>
			<td className={styles.project}>
				<Link
					className={styles.link}
					to="/builds/$sessionId"
					params={{ sessionId: build.sessionId }}
				>
					{name}
				</Link>
				<span className={styles.agent}>{build.agentId}</span>
			</td>
			<td className={styles.progress}>
				<Progress build={build} />
			</td>
			<td className={styles.duration}>
				<Elapsed build={build} />
			</td>
			<td className={styles.events}>{formatCount(build.lastSeq)}</td>
			<td className={styles.rate}>{rateWords(build, rate)}</td>
			<td className={styles.runner} title={build.runnerId ?? undefined}>
				{build.runnerId ?? "–"}
			</td>
			<td className={styles.started} title={formatTimeExact(build.startedAt)}>
				<Ago at={build.startedAt} />
			</td>
			<td className={styles.actions}>
				{!build.final && build.status === "active" && (
					<IconButton
						size="small"
						label={`Cancel the build of ${name}`}
						icon={<StopIcon />}
						onClick={() => onCancel(build)}
					/>
				)}
			</td>
		</tr>
	);
});

/** Nothing for one that has ended: how fast it was is no news. */
function rateWords({ status }: Build, rate: number | undefined): string {
	if (status !== "active") return "";
	return rate === undefined ? "–" : formatRate(rate);
}

function Status({ build }: { build: Build }) {
	return (
		<>
			<StatusBadge
				plain
				status={isCancelled(build) ? "cancelled" : build.status}
				title={
					build.status === "failed" && !build.final
						? "Nothing was heard of it; it may yet go on"
						: undefined
				}
			/>
			{build.incomplete && (
				<Badge tone="warn" plain title="Events of this build were lost">
					Gaps
				</Badge>
			)}
		</>
	);
}

function Ago({ at }: { at: string }) {
	const now = useNow(5_000);
	return formatAgo(at, now);
}
