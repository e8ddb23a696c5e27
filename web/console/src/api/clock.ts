/**
 * The server's clock, as far as its answers tell it. Builds begin and end by the server's and the runners' clocks: measured
 * by a browser's that is a day off, a build would have run for a day.
 *
 * An answer's `Date` has whole seconds. Each one bounds the offset between the clocks from both sides, and together they
 * narrow it down.
 */

interface Bounds {
	/** The offset is at least, and at most, so many milliseconds. */
	least: number;
	most: number;
}

const unknown: Bounds = { least: Number.NEGATIVE_INFINITY, most: Number.POSITIVE_INFINITY };

let bounds = unknown;

/** Learns from an answer: what its `Date` said, and when by this clock it was asked for and received. */
export function learnClock(date: string | null, askedAt: number, receivedAt: number): void {
	const second = date === null ? Number.NaN : Date.parse(date);
	if (Number.isNaN(second)) return;
	bounds = narrowed(bounds, { least: second - receivedAt, most: second + 1000 - askedAt });
}

/** Both bounds together; the newer ones alone if a clock was set meanwhile. */
export function narrowed(known: Bounds, newer: Bounds): Bounds {
	const both = {
		least: Math.max(known.least, newer.least),
		most: Math.min(known.most, newer.most),
	};
	return both.least <= both.most ? both : newer;
}

/** The offset that lies within the bounds: none, if that is possible. */
export function offsetWithin({ least, most }: Bounds): number {
	if (least <= 0 && most >= 0) return 0;
	return Math.round((least + most) / 2);
}

/** The server's time now, in milliseconds since 1970. */
export function serverNow(): number {
	return Date.now() + offsetWithin(bounds);
}
