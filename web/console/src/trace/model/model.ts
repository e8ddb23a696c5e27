/**
 * A trace, ready to be drawn and asked: the outline's columns as typed arrays, with the tree and the times that follow from
 * them. A model never changes; a trace that grew is a new model, and what must survive (selection, what is open) is kept by
 * span id.
 *
 * 100,000 spans take well under 100 ms; everything that only some views need is made when first asked for.
 */
import { buildLinked, type Linked } from "./linked";
import { Flag, isErrorLevel, type Outline, type OutlineRecord, Status } from "./outline";
import { oneLine } from "./text";
import { buildTimes, gapsBetween, type Stretch, type Times } from "./times";
import { buildTree, type Tree } from "./tree";

/** The build that a trace belongs to. */
export interface TraceBuild {
	readonly buildId?: string | undefined;
	readonly sessionId?: string | undefined;
	readonly projectId?: string | undefined;
}

export class TraceModel {
	readonly traceId: string;
	/** Nanoseconds since 1970. */
	readonly startNanos: bigint;
	readonly build: TraceBuild | null;
	readonly count: number;
	readonly ids: readonly string[];

	readonly names: readonly string[];
	readonly ops: readonly string[];
	readonly services: readonly string[];
	readonly kinds: readonly string[];
	readonly name: Int32Array;
	readonly op: Int32Array;
	readonly service: Int32Array;
	readonly kind: Int32Array;

	readonly status: Uint8Array;
	readonly flags: Uint8Array;
	/** Errors in the subtree, the span's own among them. */
	readonly errors: Int32Array;
	readonly tree: Tree;
	readonly linked: Linked;
	readonly times: Times;
	readonly records: readonly OutlineRecord[];
	readonly missing: NonNullable<Outline["missing"]>;
	readonly errorCount: number;
	readonly pendingCount: number;
	/** While the trace grows: the server's time, in nanoseconds after the trace's start. */
	readonly now: (() => number) | null;

	readonly #outline: Outline;
	#rowOfId: Map<string, number> | null = null;
	#rowsOfSeq: Map<number, number[]> | null = null;
	#recordsOfRow: Map<number, OutlineRecord[]> | null = null;
	readonly #labels: string[] = [];
	readonly #gapsOfRow = new Map<number, readonly Stretch[]>();

	constructor(outline: Outline, now: (() => number) | null = null) {
		const { spans } = outline;
		this.#outline = outline;
		this.now = now;
		this.traceId = outline.traceId;
		this.startNanos = BigInt(outline.startNanos);
		this.build = outline.buildId || outline.sessionId ? pickBuild(outline) : null;
		this.count = spans.id.length;
		this.ids = spans.id;
		this.names = outline.names;
		this.ops = outline.ops;
		this.services = outline.services;
		this.kinds = outline.kinds;
		this.name = Int32Array.from(spans.name);
		this.op = Int32Array.from(spans.op);
		this.service = Int32Array.from(spans.service);
		this.kind = Int32Array.from(spans.kind);
		this.status = Uint8Array.from(spans.status);
		this.flags = Uint8Array.from(spans.flags);
		this.records = outline.records;
		this.missing = outline.missing ?? {};
		this.tree = buildTree(spans.parent);
		this.linked = buildLinked(this.count, outline.linked ?? []);
		this.times = buildTimes(spans, this.tree, this.linked);
		this.errors = countErrors(this.status, this.tree);
		this.errorCount = this.status.reduce((sum, it) => sum + (it === Status.error ? 1 : 0), 0);
		this.pendingCount = this.flags.reduce((sum, it) => sum + (it & Flag.pending), 0);
	}

	/** The row of a span, or -1. */
	rowOf(spanId: string | null | undefined): number {
		if (!spanId) return -1;
		this.#rowOfId ??= new Map(this.ids.map((id, row) => [id, row]));
		return this.#rowOfId.get(spanId) ?? -1;
	}

	/** The spans of a tool's call, by the id that the agent gave it. */
	rowsOfToolCall(toolCallId: string): readonly number[] {
		const { toolCalls } = this.#outline;
		return Object.hasOwn(toolCalls, toolCallId) ? (toolCalls[toolCallId] ?? []) : [];
	}

	/** The spans of an event's way, by its sequence number. */
	rowsOfSeq(seq: number): readonly number[] {
		this.#rowsOfSeq ??= groupRows(this.#outline.spans.seq);
		return this.#rowsOfSeq.get(seq) ?? [];
	}

	/** The number of the event whose way a span is part of, or 0. */
	seqOf(row: number): number {
		return this.#outline.spans.seq[row] ?? 0;
	}

	/** Errors and lines of logs that happened in a span; of -1, those that no span claims. */
	recordsOf(row: number): readonly OutlineRecord[] {
		if (this.#recordsOfRow === null) {
			this.#recordsOfRow = new Map();
			for (const record of this.records) {
				const known = this.#recordsOfRow.get(record.parent);
				if (known) known.push(record);
				else this.#recordsOfRow.set(record.parent, [record]);
			}
		}
		return this.#recordsOfRow.get(row) ?? [];
	}

	/** Whether an error was reported from within a span, which may have gone well itself. */
	recordsError(row: number): boolean {
		return this.recordsOf(row).some(({ level }) => isErrorLevel(level));
	}

	idOf(row: number): string {
		return this.ids[row] ?? "";
	}

	nameOf(row: number): string {
		return this.names[this.name[row] ?? -1] ?? "";
	}

	/** The name, fit for one line. */
	labelOf(row: number): string {
		const name = this.name[row] ?? -1;
		let label = this.#labels[name];
		if (label === undefined) {
			label = oneLine(this.names[name] ?? "");
			this.#labels[name] = label;
		}
		return label;
	}

	opOf(row: number): string {
		return this.ops[this.op[row] ?? -1] ?? "";
	}

	serviceOf(row: number): string {
		return this.services[this.service[row] ?? -1] ?? "";
	}

	kindOf(row: number): string {
		return this.kinds[this.kind[row] ?? -1] ?? "";
	}

	startOf(row: number): number {
		return this.times.start[row] ?? 0;
	}

	/** Of an unfinished span: the latest moment at which it is known to have run. */
	endOf(row: number): number {
		return this.startOf(row) + (this.times.duration[row] ?? 0);
	}

	parentOf(row: number): number {
		return this.tree.parent[row] ?? -1;
	}

	/** The children of a row, by start; of -1, the roots. */
	childrenOf(row: number): Int32Array {
		const { childrenFrom, children } = this.tree;
		return children.subarray(childrenFrom[row + 1], childrenFrom[row + 2]);
	}

	/**
	 * Where a span had no child running between two that it had. Messages that it sent do not count: whoever sends one goes
	 * on with its work.
	 */
	gapsOf(row: number): readonly Stretch[] {
		let gaps = this.#gapsOfRow.get(row);
		if (!gaps) {
			gaps = gapsBetween(this.#awaited(row), row, this.times);
			this.#gapsOfRow.set(row, gaps);
		}
		return gaps;
	}

	/** Since when an unfinished span has waited for the next of its children; null if it has none yet, or one runs. */
	waitsSince(row: number): number | null {
		const awaited = this.#awaited(row);
		if (awaited.length === 0 || awaited.some((child) => this.has(child, Flag.pending))) return null;
		return awaited.reduce((latest, child) => Math.max(latest, this.endOf(child)), 0);
	}

	/** A message that its parent sent on its way, such as an event. */
	isMessage(row: number): boolean {
		return this.kindOf(row) === "producer";
	}

	#awaited(row: number): Int32Array {
		return this.childrenOf(row).filter((child) => !this.isMessage(child));
	}

	/** Spans that did work for this one too, and are children of another. */
	linkedUnder(row: number): Int32Array {
		return this.linked.rows.subarray(this.linked.from[row], this.linked.from[row + 1]);
	}

	has(row: number, flag: (typeof Flag)[keyof typeof Flag]): boolean {
		return ((this.flags[row] ?? 0) & flag) !== 0;
	}

	isError(row: number): boolean {
		return this.status[row] === Status.error;
	}
}

function pickBuild({ buildId, sessionId, projectId }: Outline): TraceBuild {
	return { buildId, sessionId, projectId };
}

function countErrors(status: Uint8Array, tree: Tree): Int32Array {
	const errors = new Int32Array(status.length);
	for (let at = status.length - 1; at >= 0; at--) {
		const row = tree.order[at] as number;
		if (status[row] === Status.error) errors[row] = (errors[row] as number) + 1;
		const above = tree.parent[row] as number;
		if (above >= 0) errors[above] = (errors[above] as number) + (errors[row] as number);
	}
	return errors;
}

function groupRows(keys: readonly number[]): Map<number, number[]> {
	const groups = new Map<number, number[]>();
	for (let row = 0; row < keys.length; row++) {
		const key = keys[row] as number;
		if (key === 0) continue;
		const group = groups.get(key);
		if (group) group.push(row);
		else groups.set(key, [row]);
	}
	return groups;
}
