/** How long to wait before connecting again: longer each time, up to a bound, and never all clients at once. */

/** The first wait and the longest, in milliseconds. */
const FIRST = 250;
const LONGEST = 15_000;

/** The wait before attempt `attempt` (from 0): between half and all of a time that doubles. */
export function backoff(attempt: number): number {
	const whole = Math.min(LONGEST, FIRST * 2 ** Math.min(attempt, 16));
	return whole / 2 + (whole / 2) * Math.random();
}
