/** How many events a second each running build sends, from what two polls say of its last sequence number. */
import type { BuildRow } from "../api/types";

/** A poll's own rate jumps; over about this time it settles. */
const SETTLES_MS = 2_500;

/** Two answers nearer together than this say nothing about a rate. */
const SHORTEST_MS = 200;

interface Sample {
	seq: number;
	at: number;
	/** Events a second; none before there were two samples. */
	rate: number | undefined;
}

/** What is known of each running build, by its session. */
export type Rates = ReadonlyMap<string, Sample>;

export const NO_RATES: Rates = new Map();

type Counted = Pick<BuildRow, "sessionId" | "status" | "lastSeq">;

/** The rates once an answer that came at `at` (milliseconds) is counted in. Builds that have ended have none any more. */
export function nextRates(rates: Rates, builds: readonly Counted[], at: number): Rates {
	const running = builds.filter((build) => build.status === "active");
	return new Map(
		running.map((build) => [build.sessionId, next(rates.get(build.sessionId), build, at)]),
	);
}

function next(before: Sample | undefined, { lastSeq: seq }: Counted, at: number): Sample {
	if (!before || seq < before.seq) return { seq, at, rate: undefined };
	const elapsed = at - before.at;
	if (elapsed < SHORTEST_MS) return before;
	const now = ((seq - before.seq) / elapsed) * 1000;
	if (before.rate === undefined) return { seq, at, rate: now };
	const weight = 1 - Math.exp(-elapsed / SETTLES_MS);
	const rate = before.rate + (now - before.rate) * weight;
	// What fades away never quite reaches nothing.
	return { seq, at, rate: now === 0 && rate < 0.05 ? 0 : rate };
}
