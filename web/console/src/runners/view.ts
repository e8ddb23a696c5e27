/** What the page makes of what runners say about themselves. */
import type { BuildRow, Runner } from "../api/types";
import { formatDuration } from "../ui";

export interface Arranged {
	/** Those that come back, and those of a run that goes on: linked ones first, then by name. */
	lasting: Runner[];
	/** Those of `hopline run` that have ended and will not come back. */
	past: Runner[];
}

export function arranged(runners: readonly Runner[]): Arranged {
	const sorted = runners.toSorted(
		(a, b) => Number(b.link === "up") - Number(a.link === "up") || a.id.localeCompare(b.id),
	);
	const isPast = ({ link, status }: Runner) => link === "down" && status?.oneBuild === true;
	return {
		lasting: sorted.filter((runner) => !isPast(runner)),
		past: sorted.filter(isPast),
	};
}

/** Beyond this a clock is wrong enough that people should know. */
const CLOCK_OFF_NS = 1e9;

/** A runner's clock against its broker's, with its sign. */
export function clockWords(offsetNs: number | undefined): { words: string; isOff: boolean } {
	if (offsetNs === undefined) return { words: "–", isOff: false };
	const sign = offsetNs < 0 ? "−" : "+";
	return {
		words: `${sign}${formatDuration(Math.abs(offsetNs))}`,
		isOff: Math.abs(offsetNs) >= CLOCK_OFF_NS,
	};
}

/** The running builds by the runner that has them. */
export function byRunner(builds: readonly BuildRow[]): Map<string, BuildRow[]> {
	const map = new Map<string, BuildRow[]>();
	for (const build of builds) {
		const runner = build.runnerId ?? "";
		map.set(runner, [...(map.get(runner) ?? []), build]);
	}
	return map;
}
