/** An event's way as a funnel: how many came to each hop, how many left it, and how many never came. */
import type { TraceModel } from "../../trace";
import type { EventPath, Gap, HopTimes } from "./types";

export interface Stage {
	readonly name: string;
	/** What a count of it counts. */
	readonly unit: "events" | "updates" | "flushes";
	readonly entered: number;
	readonly left: number;
	/** Events that should have come here and did not. */
	readonly missing: number;
	readonly errors: number;
	readonly p50: number;
	readonly p95: number;
	/** The part of its own time in which it waited, from 0 to 1. */
	readonly waiting: number;
	/** How long after the hop before it half of them began at most; nothing for the first. */
	readonly after: number | undefined;
}

interface Hop {
	readonly name: string;
	readonly ops: readonly [string, ...string[]];
}

/** The hops that every event takes. A gap names the last of them by its first op. */
const EVENT_HOPS: readonly Hop[] = [
	{ name: "Sent by the runner", ops: ["runner.event.send"] },
	{ name: "Forwarded by the broker", ops: ["broker.event.forward"] },
	{ name: "Taken in by the server", ops: ["api.runner.event.process"] },
	{ name: "Written to the database", ops: ["db.persist.event", "db.persist.finalize"] },
];

const BROADCAST: Hop = { name: "Sent to browsers", ops: ["websocket.broadcast"] };

/** What browsers add to the trace themselves. */
const BROWSER_HOPS: readonly Hop[] = [
	{ name: "Applied by a browser", ops: ["ui.websocket.receive"] },
	{ name: "Painted by a browser", ops: ["ui.react.render"] },
];

/** The hops of an event up to the database, from the first on. */
export function eventStages(path: EventPath): Stage[] {
	return EVENT_HOPS.map((hop) => {
		const stage = stageOf(hop, path, "events");
		return { ...stage, missing: missingAt(path.gaps, hop.ops[0]) };
	});
}

/** What comes after the database and goes for many events at once: flushes, and what browsers did with them. */
export function liveStages(path: EventPath, model: TraceModel | null): Stage[] {
	const stages = [stageOf(BROADCAST, path, "flushes")];
	for (const hop of model ? BROWSER_HOPS : []) if (model) stages.push(browserStage(hop, model));
	return stages.filter((stage) => stage.entered > 0);
}

function stageOf({ name, ops }: Hop, path: EventPath, unit: Stage["unit"]): Stage {
	const hops = path.hops.filter((hop) => ops.includes(hop.op));
	const sum = (of: (hop: HopTimes) => number) => hops.reduce((all, hop) => all + of(hop), 0);
	// The first one has nearly all events: of the others, all times are of one event.
	const main = hops.find((hop) => hop.op === ops[0]) ?? hops[0];
	const own = sum((hop) => hop.ownNanos);
	const entered = sum((hop) => hop.count);
	return {
		name,
		unit,
		entered,
		left: entered - sum((hop) => hop.pending),
		missing: 0,
		errors: sum((hop) => hop.errors),
		p50: main?.duration.p50Nanos ?? 0,
		p95: main?.duration.p95Nanos ?? 0,
		waiting: own > 0 ? sum((hop) => hop.waitingNanos) / own : 0,
		after: main?.reachedAfter?.p50Nanos,
	};
}

function missingAt(gaps: readonly Gap[], op: string): number {
	return gaps.filter((gap) => gap.missing.some((missing) => missing.op === op)).length;
}

function browserStage({ name, ops }: Hop, model: TraceModel): Stage {
	const op = model.ops.indexOf(ops[0]);
	const durations: number[] = [];
	let errors = 0;
	for (let row = 0; row < model.count; row++) {
		if (op < 0 || model.op[row] !== op) continue;
		durations.push(model.times.duration[row] ?? 0);
		if (model.isError(row)) errors += 1;
	}
	durations.sort((one, other) => one - other);
	const count = durations.length;
	const at = (share: number) => durations[Math.max(0, Math.ceil(count * share) - 1)] ?? 0;
	return {
		name,
		unit: "updates",
		entered: count,
		left: count,
		missing: 0,
		errors,
		p50: at(0.5),
		p95: at(0.95),
		waiting: 0,
		after: undefined,
	};
}
