/** The way of a build's events through their hops, as the server tells it (`GET /api/builds/{sessionId}/path`). */

/** A distribution of times, in nanoseconds. */
export interface Times {
	totalNanos: number;
	p50Nanos: number;
	p95Nanos: number;
	maxNanos: number;
}

export interface HopTimes {
	op: string;
	count: number;
	errors: number;
	/** How many have not finished. */
	pending: number;
	duration: Times;
	ownNanos: number;
	/** The part of its own time that was spent in queues. */
	waitingNanos: number;
	workingNanos: number;
	/** How long after the hop before it began. */
	reachedAfter?: Times;
}

/** An event that misses a hop. */
export interface Gap {
	commandId: string;
	seq: number;
	eventType: string;
	missing: { op: string; reason: string }[];
}

export interface EventPath {
	/** How many spans the trace has, and of how many the times are told. */
	total: number;
	spans: number;
	/** Traced events, and how they have fared. */
	events: number;
	complete: number;
	underWay: number;
	failed: number;
	gapCount: number;
	/** The first of the gaps. */
	gaps: Gap[];
	hops: HopTimes[];
	clocks: { service: string; instance: string; offsetNanos: number }[];
}
