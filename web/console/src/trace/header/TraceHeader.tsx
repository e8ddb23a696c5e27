/** The head of a trace's page: what it is of, how large, how long, what failed, what is missing. */
import { Link } from "@tanstack/react-router";
import { apiUrl, request } from "../../api/client";
import { serverNow } from "../../api/clock";
import type { BuildRow } from "../../api/types";
import {
	Badge,
	buttonClass,
	CopyButton,
	DownloadIcon,
	formatCount,
	formatDuration,
	formatTime,
	formatTimeExact,
	PageHeader,
	StatusBadge,
} from "../../ui";
import type { TraceModel } from "../model/model";
import { oneLine } from "../model/text";
import { useNow } from "../view/useNow";
import styles from "./header.module.css";
import { LooseRecords } from "./LooseRecords";
import { Missing } from "./Missing";

export interface TraceHeaderProps {
	traceId: string;
	model: TraceModel | null;
	build: BuildRow | null;
	live: boolean;
}

export function TraceHeader({ traceId, model, build, live }: TraceHeaderProps) {
	return (
		<PageHeader
			title={titleOf(traceId, model, build)}
			meta={
				<div className={styles.facts}>
					{build && <StatusBadge status={build.status} />}
					{model && <Facts model={model} live={live} />}
					<span className={styles.id}>
						Trace <code>{oneLine(traceId, 40)}</code>
						<CopyButton text={traceId} label="Copy the trace's id" size="small" />
					</span>
				</div>
			}
		>
			{build && (
				<Link
					to="/builds/$sessionId"
					params={{ sessionId: build.sessionId }}
					className={buttonClass()}
				>
					Show the build
				</Link>
			)}
			{model && <AsJson traceId={traceId} spans={model.count} />}
		</PageHeader>
	);
}

function titleOf(traceId: string, model: TraceModel | null, build: BuildRow | null): string {
	if (build?.projectName) return oneLine(build.projectName, 80);
	const root = model?.childrenOf(-1)[0];
	return root === undefined || !model
		? `Trace ${oneLine(traceId, 8)}`
		: oneLine(model.nameOf(root), 80);
}

function Facts({ model, live }: { model: TraceModel; live: boolean }) {
	const now = useNow(model);
	const startMs = Number(model.startNanos / 1_000_000n);
	return (
		<>
			<span>
				<b>{formatDuration(now)}</b>
				{live && " so far"}
			</span>
			<span>
				<b>{formatCount(model.count)}</b> {model.count === 1 ? "span" : "spans"}
			</span>
			{model.errorCount > 0 && (
				<Badge tone="error">
					{formatCount(model.errorCount)} {model.errorCount === 1 ? "error" : "errors"}
				</Badge>
			)}
			<Missing model={model} />
			<LooseRecords model={model} />
			<span title={formatTimeExact(startMs)}>{formatTime(startMs, serverNow())}</span>
		</>
	);
}

/** A larger trace would be tens of megabytes on the clipboard: it is saved as a file. */
const MOST_COPIED = 5_000;

function AsJson({ traceId, spans }: { traceId: string; spans: number }) {
	const path = `api/traces/${encodeURIComponent(traceId)}?format=otlp`;
	if (spans <= MOST_COPIED) {
		const read = async () => (await request(path)).text();
		return <CopyButton text={read} label="Copy as JSON" showLabel />;
	}
	return (
		<a
			href={apiUrl(path)}
			download={`trace-${oneLine(traceId, 32)}.json`}
			className={buttonClass()}
		>
			<DownloadIcon />
			Save as JSON
		</a>
	);
}
