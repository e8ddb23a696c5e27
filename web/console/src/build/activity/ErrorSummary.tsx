/** What went wrong, before all else: why the build failed, and the tool calls that did, each of which leads to its place. */
import { ErrorNote } from "../../ui";
import styles from "./errors.module.css";
import type { Failure } from "./failures";
import { StateMark } from "./StateMark";

/** More are counted. */
const SHOWN = 5;

export interface ErrorSummaryProps {
	/** Why the build failed, if it did. */
	message: string | null;
	failures: readonly Failure[];
	onGoTo(callId: string): void;
}

export function ErrorSummary({ message, failures, onGoTo }: ErrorSummaryProps) {
	const calls = failures.length > 0 && <Calls failures={failures} onGoTo={onGoTo} />;
	return (
		<div className={styles.errors}>
			{message === null ? (
				// Agents try, fail and try again: of a build that goes on it is no alarm.
				<section className={styles.calm}>
					<h3 className={styles.count}>
						<StateMark mark="failed" />
						{countOf(failures.length)}
					</h3>
					{calls}
				</section>
			) : (
				<ErrorNote title="The build failed">
					<p className={styles.message}>{message}</p>
					{calls}
				</ErrorNote>
			)}
		</div>
	);
}

function Calls({ failures, onGoTo }: Omit<ErrorSummaryProps, "message">) {
	const more = failures.length - SHOWN;
	return (
		<>
			<ul className={styles.list}>
				{failures.slice(0, SHOWN).map(({ call, words }) => (
					<li key={call.id}>
						<button type="button" className={styles.failure} onClick={() => onGoTo(call.id)}>
							<span className={styles.name}>{call.name || "Unknown tool"}</span>
							<span className={styles.words}>{words.slice(0, 300)}</span>
						</button>
					</li>
				))}
			</ul>
			{more > 0 && <p className={styles.more}>and {more} more below</p>}
		</>
	);
}

function countOf(failures: number): string {
	return failures === 1 ? "A tool call failed" : `${failures} tool calls failed`;
}
