/**
 * The last two hops of an event: a batch's updates from their receipt to the state they make, and that state to its paint.
 *
 * A span waits for the paint that belongs to it, so that both leave together. Nothing here ever throws or waits.
 */
import { now } from "../clock.js";
import type { BatchMessage } from "../protocol.js";
import { type Carrier, readCarrier } from "./carrier.js";
import { afterPaint, isHidden } from "./paint.js";
import { type AttributeValue, type FinishedSpan, newSpanId } from "./span.js";

const RECEIVE_OP = "ui.websocket.receive";
const RENDER_OP = "ui.react.render";

/** Without a paint for so long, in milliseconds, there is none to wait for. */
const UNPAINTED = 5_000;

/** How many spans wait for a paint at most. */
const MAX_WAITING = 256;

export class UpdateTracer {
	readonly #record: (spans: readonly FinishedSpan[]) => void;
	/** Applied, and not known to be drawn. */
	#applied: FinishedSpan[] = [];
	/** Drawn by this component, and not painted yet. */
	#drawn: { spans: FinishedSpan[]; component: string } | undefined;
	#endPaint: (() => void) | undefined;
	#unpainted: ReturnType<typeof setTimeout> | undefined;

	constructor(record: (spans: readonly FinishedSpan[]) => void) {
		this.#record = record;
	}

	/** A batch that came at `receivedAt` has just been applied, of a build whose command this is. */
	applied(batch: BatchMessage, commandId: string, receivedAt: number) {
		const carrier = readCarrier(batch._sentry);
		if (!carrier) return;
		const end = now();
		const counts = new Map<string, number>();
		for (const { type } of batch.updates) counts.set(type, (counts.get(type) ?? 0) + 1);
		for (const [type, count] of counts) {
			const attributes = { ...eventOf(batch, commandId), "hopline.updates": count };
			this.#applied.push(receive(carrier, type, receivedAt, end, attributes));
		}
		if (this.#applied.length > MAX_WAITING) this.#giveUp();
		this.#unpainted ??= setTimeout(() => this.#giveUp(), UNPAINTED);
	}

	/** A component has drawn all that was applied so far. */
	drawn(component: string) {
		if (this.#applied.length === 0) return;
		clearTimeout(this.#unpainted);
		this.#unpainted = undefined;
		// Drawn again before it was painted: one paint shows both.
		const spans = [...(this.#drawn?.spans ?? []), ...this.#applied];
		this.#applied = [];
		this.#drawn = { spans, component };
		if (isHidden() || spans.length > MAX_WAITING) {
			// No frame comes while nobody looks, and a paint hours later would be none of theirs.
			this.#endPaint?.();
			this.#painted(undefined);
			return;
		}
		this.#endPaint ??= afterPaint((at) => this.#painted(at));
	}

	/** Records what is known so far. */
	end() {
		this.#endPaint?.();
		this.#painted(undefined);
		this.#giveUp();
	}

	#painted(at: number | undefined) {
		this.#endPaint = undefined;
		const { spans, component } = this.#drawn ?? { spans: [], component: "" };
		this.#drawn = undefined;
		const both = (span: FinishedSpan) =>
			at === undefined ? [span] : [span, render(span, component, at)];
		if (spans.length > 0) this.#record(spans.flatMap(both));
	}

	#giveUp() {
		clearTimeout(this.#unpainted);
		this.#unpainted = undefined;
		const spans = this.#applied;
		this.#applied = [];
		if (spans.length > 0) this.#record(spans);
	}
}

function eventOf(batch: BatchMessage, commandId: string): Record<string, AttributeValue> {
	return {
		"event.projectId": batch.projectId,
		...(commandId !== "" && { "event.commandId": commandId }),
		"event.seq": batch.seq,
		"event.sessionId": batch.sessionId,
	};
}

function receive(
	{ traceId, spanId, samplingContext }: Carrier,
	type: string,
	start: number,
	end: number,
	attributes: Record<string, AttributeValue>,
): FinishedSpan {
	const name = `useBuildWebSocket.${type}`;
	const ids = { traceId, spanId: newSpanId(), parentId: spanId, samplingContext };
	return { ...ids, name, op: RECEIVE_OP, kind: "consumer", start, end, attributes };
}

function render(received: FinishedSpan, component: string, end: number): FinishedSpan {
	return {
		...received,
		spanId: newSpanId(),
		parentId: received.spanId,
		name: `react.render.${component}`,
		op: RENDER_OP,
		kind: "internal",
		start: received.end,
		end: Math.max(end, received.end),
	};
}
