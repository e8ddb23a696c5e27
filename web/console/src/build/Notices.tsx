/** What a reader must know of a build to read its page right: what is missing of it, and why nothing moves. */
import type { BuildState, StreamError } from "@hopline/react";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { Button, formatCount, InfoIcon } from "../ui";
import styles from "./notices.module.css";
import type { Outcomes } from "./queries";

export interface NoticesProps {
	state: BuildState;
	outcomes: Outcomes | null;
	error: StreamError | null;
	onReconnect(): void;
}

export function Notices({ state, outcomes, error, onReconnect }: NoticesProps) {
	return (
		<div className={styles.notices} role="status">
			{error?.code === "gone" && (
				<Notice
					action={
						<Button size="small" onClick={onReconnect}>
							Try again
						</Button>
					}
				>
					This build is gone from the server. What you see is how it was last.
				</Notice>
			)}
			{state.status === "failed" && !state.final && (
				<Notice>Nothing was heard of this build for a while. It may yet go on.</Notice>
			)}
			{state.incomplete && (
				<Notice action={<ToTab tab="path">See where</ToTab>}>
					{lostWords(outcomes)} What is shown is what arrived.
				</Notice>
			)}
			{state.truncated && (
				<Notice action={<ToTab tab="events">Open the log</ToTab>}>
					This build is long: some of what began before event{" "}
					{formatCount(state.truncated.upTo + 1)} is left out here. The log has all of it.
				</Notice>
			)}
		</div>
	);
}

function lostWords(outcomes: Outcomes | null): string {
	const lost = outcomes?.expired ?? 0;
	if (lost === 0) return "Events of this build were lost on their way.";
	return lost === 1
		? "An event of this build was lost on its way."
		: `${formatCount(lost)} events of this build were lost on their way.`;
}

function ToTab({ tab, children }: { tab: "path" | "events"; children: string }) {
	return (
		<Link from="/builds/$sessionId" to="." search={(search) => ({ ...search, tab })}>
			{children}
		</Link>
	);
}

function Notice({ action, children }: { action?: ReactNode; children: ReactNode }) {
	return (
		<p className={styles.notice}>
			<InfoIcon />
			<span className={styles.words}>{children}</span>
			{action}
		</p>
	);
}
