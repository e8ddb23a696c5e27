import { expect, test } from "vitest";
import { eventStages, liveStages } from "./funnel";
import type { EventPath, HopTimes } from "./types";

function hop(op: string, count: number, more: Partial<HopTimes> = {}): HopTimes {
	const duration = { totalNanos: 0, p50Nanos: count, p95Nanos: count * 2, maxNanos: 0 };
	const times = { ownNanos: 100, waitingNanos: 25, workingNanos: 75 };
	return { op, count, errors: 0, pending: 0, duration, ...times, ...more };
}

const path: EventPath = {
	total: 100,
	spans: 100,
	events: 10,
	complete: 7,
	underWay: 1,
	failed: 0,
	gapCount: 2,
	gaps: [
		{
			commandId: "c",
			seq: 4,
			eventType: "build-stream",
			missing: [
				{ op: "api.runner.event.process", reason: "dropped" },
				{ op: "db.persist.event", reason: "unknown" },
			],
		},
		{ commandId: "c", seq: 9, eventType: "x", missing: [{ op: "db.persist.event", reason: "" }] },
	],
	hops: [
		hop("runner.event.send", 10),
		hop("broker.event.forward", 10, { pending: 1 }),
		hop("api.runner.event.process", 8, { errors: 1 }),
		hop("db.persist.event", 6),
		hop("db.persist.finalize", 1, { ownNanos: 0, waitingNanos: 0 }),
		hop("websocket.broadcast", 3),
	],
	clocks: [],
};

test("for each hop it is told how many came, how many left and how many are missing", () => {
	const told = eventStages(path).map(({ entered, left, missing }) => [entered, left, missing]);
	expect(told).toEqual([
		[10, 10, 0],
		[10, 9, 0],
		[8, 8, 1],
		[7, 7, 2],
	]);
	expect(eventStages(path)[2]).toMatchObject({ errors: 1, p50: 8, p95: 16, waiting: 0.25 });
});

test("a trace that has only begun has empty hops, not none", () => {
	const stages = eventStages({ ...path, hops: [], gaps: [] });
	expect(stages.map(({ entered, waiting }) => [entered, waiting])).toEqual(Array(4).fill([0, 0]));
	expect(liveStages({ ...path, hops: [] }, null)).toEqual([]);
});

test("flushes to browsers are told apart from events", () => {
	expect(liveStages(path, null)).toMatchObject([{ unit: "flushes", entered: 3 }]);
});
