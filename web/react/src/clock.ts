/**
 * Times as finely as the browser tells them, and how far its clock is from the server's.
 *
 * A browser's clock may be off by days. The server answers each heartbeat with its own time, from which the difference
 * follows as well as half of the round trip allows; the quickest of the last answers is believed.
 */

/** How many answers are remembered. */
const REMEMBERED = 8;

/** What the server's time, told in whole milliseconds, and our own may be off by, in milliseconds. */
const RESOLUTION = 1;

interface Sample {
	/** How far this clock is ahead of the server's, in milliseconds. */
	readonly offset: number;
	readonly roundTrip: number;
}

/** Now, in milliseconds since 1970 by this machine's clock, with fractions. */
export function now(): number {
	return performance.timeOrigin + performance.now();
}

export class ServerClock {
	#samples: Sample[] = [];
	#isStale = false;

	/** What was measured holds until the next answer: a machine that has slept may have another clock since. */
	restart() {
		this.#isStale = true;
	}

	/** Notes that a question sent at `sent` was answered at `received`, and the server's time in between. */
	note(sent: number, received: number, serverTime: string) {
		const told = Date.parse(serverTime);
		if (Number.isNaN(told) || received < sent) return;
		// The fractions that are cut off are half a millisecond, on average.
		const offset = (sent + received) / 2 - (told + 0.5);
		const known = this.#isStale ? [] : this.#samples;
		this.#isStale = false;
		this.#samples = [...known, { offset, roundTrip: received - sent }].slice(-REMEMBERED);
	}

	/** Whether the server has said its time. */
	get isKnown(): boolean {
		return this.#samples.length > 0;
	}

	/** How far this clock is ahead of the server's, in milliseconds; 0 where measuring cannot tell. */
	get offset(): number {
		const [first, ...others] = this.#samples;
		if (!first) return 0;
		const best = others.reduce((a, b) => (b.roundTrip <= a.roundTrip ? b : a), first);
		return Math.abs(best.offset) > best.roundTrip / 2 + RESOLUTION ? best.offset : 0;
	}
}
