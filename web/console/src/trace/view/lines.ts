/** What one line of a waterfall says: words for its row, and what its bar is drawn from. */
import { formatCount, formatDuration } from "../../ui/format";
import { type CriticalPath, type CriticalSegment, segmentsWithin } from "../model/critical";
import type { Kept } from "../model/filter";
import type { TraceModel } from "../model/model";
import { Flag } from "../model/outline";
import { Fold, linkedShown, type ShownRows } from "../model/rows";
import type { Stretch } from "../model/times";
import { type MergedBox, mergeBoxes, type Scale } from "./scale";

const NONE: readonly CriticalSegment[] = [];

/** Where an unfinished span ends so far: now, while the trace grows. */
export function endSoFar(model: TraceModel, row: number, now: number): number {
	const end = model.endOf(row);
	return model.now && model.has(row, Flag.pending) ? Math.max(end, now) : end;
}

/** Where a span waited between its children; one that has not ended, also where it waits now. */
export function gapsSoFar(model: TraceModel, row: number, now: number): readonly Stretch[] {
	const gaps = model.gapsOf(row);
	if (!model.now || !model.has(row, Flag.pending)) return gaps;
	const since = model.waitsSince(row);
	return since === null || since >= now ? gaps : [...gaps, { from: since, to: now }];
}

/** How many spans a closed span hides. */
export function hiddenBelow(model: TraceModel, row: number, kept: Kept | null): number {
	const below = kept ? (kept.below[row] as number) : (model.tree.size[row] as number) - 1;
	return below + linkedShown(model, row, kept).length;
}

/** The parts of the critical path that are drawn in a line: the span's own, and what its line stands for. */
export function criticalIn(
	model: TraceModel,
	shown: ShownRows,
	line: number,
	path: CriticalPath | null,
): readonly CriticalSegment[] {
	if (!path || (shown.under[line] as number) >= 0) return NONE;
	const { place, size, children } = model.tree;
	if (shown.run[line]) {
		if (shown.fold[line] === Fold.open) return NONE;
		// Members stand one after the other in the open tree, each with its subtree.
		const first = shown.row[line] as number;
		const last = children[(shown.runTo[line] as number) - 1] as number;
		const until = (place[last] as number) + (size[last] as number);
		return segmentsWithin(model, path, place[first] as number, until);
	}
	const row = shown.row[line] as number;
	const from = place[row] as number;
	const until = shown.fold[line] === Fold.closed ? from + (size[row] as number) : from + 1;
	return segmentsWithin(model, path, from, until);
}

/** The spans of a run as pixels; those with errors at or below them if asked for these. */
export function runBoxes(
	model: TraceModel,
	shown: ShownRows,
	line: number,
	kept: Kept | null,
	scale: Scale,
	onlyErrors = false,
): MergedBox[] {
	return mergeBoxes(scale, members(model, shown, line, kept, scale.to, onlyErrors));
}

function* members(
	model: TraceModel,
	shown: ShownRows,
	line: number,
	kept: Kept | null,
	until: number,
	onlyErrors: boolean,
): Generator<Stretch> {
	for (let at = shown.runFrom[line] as number; at < (shown.runTo[line] as number); at++) {
		const row = model.tree.children[at] as number;
		const from = model.startOf(row);
		if (from > until) return;
		if (kept && !kept.shown[row]) continue;
		if (onlyErrors && !model.errors[row]) continue;
		yield { from, to: model.endOf(row) };
	}
}

/** What a run's spans add up to, and how many errors they hold. */
export function runTotals(model: TraceModel, shown: ShownRows, line: number, kept: Kept | null) {
	let duration = 0;
	let errors = 0;
	for (let at = shown.runFrom[line] as number; at < (shown.runTo[line] as number); at++) {
		const row = model.tree.children[at] as number;
		if (kept && !kept.shown[row]) continue;
		duration += model.times.duration[row] as number;
		errors += model.errors[row] as number;
	}
	return { duration, errors };
}

/** A span's row in words, for those who do not see the bar. */
export function spokenTime(model: TraceModel, row: number, now: number): string {
	const took = formatDuration(endSoFar(model, row, now) - model.startOf(row));
	const words = model.has(row, Flag.pending) ? `running for ${took}` : `took ${took}`;
	return `${words}, starts at ${formatDuration(model.startOf(row))}`;
}

export function spokenRun(count: number, duration: number): string {
	return `${formatCount(count)} spans, ${formatDuration(duration)} in all`;
}
