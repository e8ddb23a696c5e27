/**
 * Where the trace of a batch stands: Sentry's `sentry-trace` value and a baggage, as every message of Hopline's carries them.
 */
import type { CarrierData } from "../protocol.js";

/** A trace that is recorded, at the span that the next one is a child of. */
export interface Carrier {
	readonly traceId: string;
	readonly spanId: string;
	/** Sentry's dynamic sampling context, as the trace's head has written it. */
	readonly samplingContext: Readonly<Record<string, string>>;
}

const SENTRY_TRACE = /^\s*([0-9a-f]{32})-([0-9a-f]{16})(?:-([01]))?\s*$/i;

const SENTRY_ENTRY = "sentry-";

/** Reads a carrier; nothing if it is malformed, or if the trace is not recorded. */
export function readCarrier(data: CarrierData | undefined): Carrier | undefined {
	const match = SENTRY_TRACE.exec(data?.trace ?? "");
	const [, traceId, spanId, flag] = match ?? [];
	if (!traceId || !spanId || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
	const samplingContext = readSamplingContext(data?.baggage ?? "");
	const isSampled = flag === undefined ? isSampledBy(samplingContext) : flag === "1";
	if (!isSampled) return undefined;
	return { traceId: traceId.toLowerCase(), spanId: spanId.toLowerCase(), samplingContext };
}

/** The decision that nobody has made yet: the first hop that records makes it by what the head has drawn. */
function isSampledBy({ sampled, sample_rand, sample_rate }: Record<string, string>): boolean {
	if (sample_rand === undefined || sample_rate === undefined) return sampled !== "false";
	return Number(sample_rand) < Number(sample_rate);
}

function readSamplingContext(baggage: string): Record<string, string> {
	const context: Record<string, string> = {};
	for (const entry of baggage.split(",")) {
		const [pair = ""] = entry.split(";", 1);
		const at = pair.indexOf("=");
		const key = pair.slice(0, at).trim();
		if (at < 0 || !key.startsWith(SENTRY_ENTRY)) continue;
		context[key.slice(SENTRY_ENTRY.length)] = decoded(pair.slice(at + 1).trim());
	}
	return context;
}

function decoded(value: string): string {
	try {
		return decodeURIComponent(value);
	} catch {
		return value;
	}
}
