/**
 * Takes finished spans and passes them on in small batches. It holds few, tells of those it had to drop on their own trace,
 * and never throws: a page must not notice that it is traced.
 */
import { now, type ServerClock } from "../clock.js";
import { HoplineDestination } from "./hopline.js";
import { globalTracerProvider, OpenTelemetryDestination } from "./opentelemetry.js";
import type { TracingOptions } from "./options.js";
import { SentryDestination, sentryClient } from "./sentry.js";
import { type Destination, type FinishedSpan, newSpanId, type Outcome } from "./span.js";

/** How many spans wait at most. */
const MAX_WAITING = 2_000;

/** How many leave together; fewer with a page that is leaving, for which browsers send 64 KiB. */
const BATCH = 200;
const LAST_BATCH = 60;

/** How long they wait for others, in milliseconds. */
const LINGER = 1_000;

/** How long the first ones wait for the server to say its time. */
const UNCORRECTED = 5_000;

/** The longest pause after a failure, and the pause after a refusal, in milliseconds. */
const LONGEST_PAUSE = 30_000;
const REFUSED_PAUSE = 60_000;

/** A span that tells of others which were dropped, as every part of Hopline's tells of them. */
const DROPPED = "hopline.spans.dropped";
const DROPPED_SPANS = "hopline.dropped_spans";

/** For a page that has no place to send spans to: they are let go. */
const NOWHERE: Destination = { send: async () => "taken" };

/** Of how many traces it is told. */
const MAX_TRACES_TOLD = 16;

export class Exporter {
	readonly #clock: ServerClock;
	readonly #options: TracingOptions;
	readonly #liveUrl: () => string;
	#waiting: FinishedSpan[] = [];
	#waitingSince = 0;
	#dropped = new Map<string, { last: FinishedSpan; count: number }>();
	#droppedCount = 0;
	#destination: Destination | undefined;
	#timer: ReturnType<typeof setTimeout> | undefined;
	#pause = LINGER;
	#isSending = false;
	#page: AbortController | undefined;

	/** `liveUrl` is where live updates come from. */
	constructor(clock: ServerClock, options: TracingOptions, liveUrl: () => string) {
		this.#clock = clock;
		this.#options = options;
		this.#liveUrl = liveUrl;
	}

	/** How many spans were dropped so far. */
	get dropped(): number {
		return this.#droppedCount;
	}

	/** Takes spans, to be sent soon. */
	record(spans: readonly FinishedSpan[]) {
		this.#watchPage();
		if (this.#waiting.length === 0) this.#waitingSince = now();
		const room = Math.max(0, MAX_WAITING - this.#waiting.length);
		this.#waiting.push(...spans.slice(0, room));
		this.#drop(spans.slice(room));
		this.#schedule();
	}

	/** There will be no more for now: sends what waits. */
	flush() {
		void this.#send(false);
	}

	#schedule() {
		this.#timer ??= setTimeout(() => {
			this.#timer = undefined;
			const isCorrected = this.#clock.isKnown || now() - this.#waitingSince >= UNCORRECTED;
			if (isCorrected) void this.#send(false);
			else this.#schedule();
		}, this.#pause);
	}

	async #send(leaving: boolean) {
		if (this.#waiting.length === 0 || (this.#isSending && !leaving)) return;
		this.#isSending = true;
		const spans = this.#waiting.splice(0, leaving ? LAST_BATCH : BATCH);
		const told = this.#dropped;
		this.#dropped = new Map();
		const outcome = await this.#sent([...spans, ...noticesOf(told)], leaving);
		this.#isSending = false;
		if (outcome !== "taken") for (const { last, count } of told.values()) this.#tellOf(last, count);
		this.#settle(spans, outcome);
		if (this.#waiting.length > 0) this.#schedule();
		else this.#page?.abort();
	}

	async #sent(spans: readonly FinishedSpan[], leaving: boolean): Promise<Outcome> {
		try {
			this.#destination ??= this.#chosen();
			return await this.#destination.send(spans, this.#clock.offset, leaving);
		} catch {
			return "refused";
		}
	}

	#settle(spans: readonly FinishedSpan[], outcome: Outcome) {
		switch (outcome) {
			case "taken":
				this.#pause = LINGER;
				return;
			case "later": {
				this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
				const room = Math.max(0, MAX_WAITING - this.#waiting.length);
				this.#waiting.unshift(...spans.slice(0, room));
				this.#drop(spans.slice(room));
				return;
			}
			case "refused":
				this.#pause = REFUSED_PAUSE;
				this.#drop(spans);
		}
	}

	#drop(spans: readonly FinishedSpan[]) {
		this.#droppedCount += spans.length;
		for (const span of spans) this.#tellOf(span, 1);
	}

	#tellOf(last: FinishedSpan, more: number) {
		const known = this.#dropped.get(last.traceId);
		if (!known && this.#dropped.size >= MAX_TRACES_TOLD) return;
		this.#dropped.set(last.traceId, { last, count: (known?.count ?? 0) + more });
	}

	#chosen(): Destination {
		const { to, sentry, url, key, service } = this.#options;
		const client = to === undefined || to === "sentry" ? sentryClient(sentry) : undefined;
		if (client) return new SentryDestination(client);
		const isAsked = to === undefined || to === "opentelemetry";
		const provider = isAsked ? globalTracerProvider() : undefined;
		if (provider) return new OpenTelemetryDestination(provider);
		const intake = new URL(url ?? "v1/traces", this.#liveUrl());
		// Without either, every request would be refused.
		const hasCookie = intake.origin === window.location.origin;
		if (key === undefined && !hasCookie) return NOWHERE;
		return new HoplineDestination({
			url: String(intake),
			key,
			service: service ?? "hopline-browser",
		});
	}

	/** A page that is hidden may never be seen again: what waits leaves then. */
	#watchPage() {
		if (this.#page && !this.#page.signal.aborted) return;
		this.#page = new AbortController();
		const { signal } = this.#page;
		const leave = () => void this.#send(true);
		const hidden = () => document.visibilityState === "hidden" && leave();
		document.addEventListener("visibilitychange", hidden, { signal });
		window.addEventListener("pagehide", leave, { signal });
	}
}

function noticesOf(dropped: ReadonlyMap<string, { last: FinishedSpan; count: number }>) {
	return Array.from(dropped.values(), ({ last, count }): FinishedSpan => {
		const attributes = { [DROPPED_SPANS]: count };
		const ids = { spanId: newSpanId(), name: DROPPED, op: "", kind: "internal" as const };
		return { ...last, ...ids, end: last.start, attributes };
	});
}
