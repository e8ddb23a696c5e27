/** A build that is there: its head, and below it what it did beside its trace. */
import { Button, ErrorNote, SkeletonRows } from "../ui";
import styles from "./build.module.css";
import { Header } from "./header/Header";
import { Notices } from "./Notices";
import type { BuildDetail } from "./queries";
import { Traced, Untraced } from "./Sides";
import { useBuild } from "./useBuild";

export interface BuildPageProps {
	/** By what the address names it. */
	id: string;
	row: BuildDetail;
}

export function BuildPage({ id, row }: BuildPageProps) {
	const { live, build } = useBuild(id, row);
	const { state, seq, isReconnecting, error, reconnect } = live;
	const { traceId, outcomes } = build;
	return (
		<div className={styles.page} data-fills>
			<Header build={build} isReconnecting={isReconnecting} />
			{state && <Notices state={state} outcomes={outcomes} error={error} onReconnect={reconnect} />}
			{!state &&
				(error ? <NoUpdates onRetry={reconnect} /> : <SkeletonRows label="Reading the build" />)}
			{state && traceId && <Traced state={state} seq={seq} traceId={traceId} />}
			{state && !traceId && <Untraced state={state} seq={seq} />}
		</div>
	);
}

/** Everything below the head comes by live updates. */
function NoUpdates({ onRetry }: { onRetry(): void }) {
	return (
		<div className={styles.note}>
			<ErrorNote
				title="The build cannot be followed just now"
				action={
					<Button size="small" onClick={onRetry}>
						Try again
					</Button>
				}
			>
				<p>
					No live updates could be had. If the server is there, a proxy before it may refuse
					WebSockets.
				</p>
			</ErrorNote>
		</div>
	);
}
