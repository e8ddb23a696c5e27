/** A build that is there: its head, and below it what it did beside its trace. */
import { SkeletonRows } from "../ui";
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
		<div className={styles.page}>
			<Header build={build} isReconnecting={isReconnecting} />
			{state && <Notices state={state} outcomes={outcomes} error={error} onReconnect={reconnect} />}
			{!state && <SkeletonRows label="Reading the build" />}
			{state && traceId && <Traced state={state} seq={seq} traceId={traceId} />}
			{state && !traceId && <Untraced state={state} seq={seq} />}
		</div>
	);
}
