/** The events that miss a hop, each with what it misses and why, as far as the trace tells. */
import { useState } from "react";
import { Button, formatCount } from "../../ui";
import styles from "./path.module.css";
import type { EventPath } from "./types";

/** How many are shown at first. */
const SHOWN = 8;

export interface GapsProps {
	path: EventPath;
	onGoTo(seq: number): void;
}

const HOPS: Record<string, string> = {
	"runner.event.send": "sending",
	"broker.event.forward": "forwarding",
	"api.runner.event.process": "taking in",
	"db.persist.event": "writing",
};

const REASONS: Record<string, string> = {
	dropped: "its span was dropped",
	"process ended": "the process ended before it could say so",
};

export function Gaps({ path: { gaps, gapCount }, onGoTo }: GapsProps) {
	const [areAllShown, setAllShown] = useState(false);
	if (gaps.length === 0) return null;
	const shown = areAllShown ? gaps : gaps.slice(0, SHOWN);
	return (
		<section className={styles.gaps}>
			<h3>Events with a hop missing</h3>
			<ul>
				{shown.map((gap) => (
					<li key={`${gap.commandId} ${gap.seq}`}>
						<Button size="small" variant="ghost" onClick={() => onGoTo(gap.seq)}>
							Event {formatCount(gap.seq)}
						</Button>
						<span className={styles.type}>{gap.eventType}</span>
						<span className={styles.aside}>{gap.missing.map(wordsOf).join(", ")}</span>
					</li>
				))}
			</ul>
			{gapCount > shown.length && (
				<p className={styles.aside}>
					{areAllShown || gaps.length <= SHOWN ? (
						<>Only the first {formatCount(shown.length)} are told one by one.</>
					) : (
						<Button size="small" onClick={() => setAllShown(true)}>
							Show all {formatCount(gaps.length)}
						</Button>
					)}
				</p>
			)}
		</section>
	);
}

function wordsOf({ op, reason }: EventPath["gaps"][number]["missing"][number]): string {
	const why = REASONS[reason];
	return `${HOPS[op] ?? op}${why ? ` (${why})` : ""}`;
}
