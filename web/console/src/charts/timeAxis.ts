/** How times are written along an axis: as much of them as tells one mark from the next. */

const options = (given: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat("en-GB", given);

const day = options({ day: "numeric", month: "short" });
const minute = options({ hour: "2-digit", minute: "2-digit" });
const second = options({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const fraction = options({
	minute: "2-digit",
	second: "2-digit",
	fractionalSecondDigits: 3,
});

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 1_440 * MINUTE;

/** Times in milliseconds since 1970, so many milliseconds apart. A day's first mark says the day. */
export function timeLabels(times: readonly number[], apart: number): string[] {
	let last = "";
	return times.map((at) => {
		const today = day.format(at);
		if (apart >= DAY) return today;
		const isNewDay = last !== "" && last !== today;
		last = today;
		if (isNewDay) return today;
		return (apart >= MINUTE ? minute : apart >= SECOND ? second : fraction).format(at);
	});
}

const STEPS = [
	...[10, 20, 50, 100, 200, 500],
	...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND),
	...[1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720].map((count) => count * MINUTE),
	...[1, 2, 7, 14, 28, 91, 182, 365].map((count) => count * DAY),
];

/** Where marks stand between two times, at most so many, and what they say. */
export function timeMarks(from: number, to: number, most: number): { at: number; label: string }[] {
	const step = STEPS.find((step) => (to - from) / step <= most) ?? (STEPS.at(-1) as number);
	// Marks are at full hours of the reader's zone, which may be half an hour off.
	const zone = new Date(from).getTimezoneOffset() * MINUTE;
	const first = Math.ceil((from - zone) / step) * step + zone;
	const times: number[] = [];
	for (let at = first; at <= to && times.length <= most; at += step) times.push(at);
	const labels = timeLabels(times, step);
	return times.map((at, place) => ({ at, label: labels[place] ?? "" }));
}
