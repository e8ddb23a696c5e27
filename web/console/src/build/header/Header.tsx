/** The head of a build's page: what it is, how it stands, how fast it goes. */
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { serverNow } from "../../api/clock";
import { Elapsed } from "../../builds/Elapsed";
import { isCancelled, Progress } from "../../builds/Progress";
import {
	Badge,
	CopyButton,
	formatCount,
	formatRate,
	formatTime,
	formatTimeExact,
	PageHeader,
	StatusBadge,
} from "../../ui";
import type { BuildDetail } from "../queries";
import { CancelButton } from "./CancelButton";
import styles from "./header.module.css";
import { useEventRate } from "./useEventRate";

export interface HeaderProps {
	/** The build as it now is. */
	build: BuildDetail;
	isReconnecting: boolean;
}

export function Header({ build, isReconnecting }: HeaderProps) {
	const name = build.projectName ?? build.projectSlug ?? "Build";
	const isActive = build.status === "active";
	return (
		<PageHeader title={name} meta={<Facts build={build} isReconnecting={isReconnecting} />}>
			{isActive && !build.final && <CancelButton build={build} />}
		</PageHeader>
	);
}

function Facts({ build, isReconnecting }: HeaderProps) {
	const { sessionId, status, agentId, runnerId, lastSeq, startedAt, traceId } = build;
	const rate = useEventRate(sessionId, status, lastSeq);
	return (
		<div className={styles.facts}>
			<StatusBadge status={isCancelled(build) ? "cancelled" : status} />
			{isReconnecting && status === "active" && <Badge tone="warn">Reconnecting</Badge>}
			{build.incomplete && (
				<Badge tone="warn" title="Events of this build were lost">
					Incomplete
				</Badge>
			)}
			{/* Why it failed is said below. */}
			<Progress build={{ ...build, errorMessage: null }} />
			<dl className={styles.list}>
				<Fact name="Agent">{agentId}</Fact>
				{runnerId && <Fact name="Runner">{runnerId}</Fact>}
				<Fact name="Duration">
					<Elapsed build={build} />
				</Fact>
				<Fact name="Events">
					{formatCount(lastSeq)}
					{rate !== undefined && <span className={styles.rate}> {formatRate(rate)}/s</span>}
				</Fact>
				<Fact name="Started" title={formatTimeExact(startedAt)}>
					{formatTime(startedAt, serverNow())}
				</Fact>
				{traceId && (
					<Fact name="Trace" title={traceId}>
						<Link className={styles.id} to="/traces/$traceId" params={{ traceId }}>
							{traceId.slice(0, 8)}
						</Link>
						<CopyButton size="small" label="Copy the trace's id" text={traceId} />
					</Fact>
				)}
			</dl>
		</div>
	);
}

interface FactProps {
	name: string;
	title?: string;
	children: ReactNode;
}

function Fact({ name, title, children }: FactProps) {
	return (
		<div className={styles.fact} title={title}>
			<dt>{name}</dt>
			<dd>{children}</dd>
		</div>
	);
}
