/** Lengths of time and points in time, as questions write them. */

const UNITS: Record<string, number> = {
	ns: 1,
	us: 1e3,
	µs: 1e3,
	μs: 1e3,
	ms: 1e6,
	s: 1e9,
	m: 60e9,
	min: 60e9,
	h: 3_600e9,
	d: 86_400e9,
	w: 604_800e9,
};

/** A length of time in nanoseconds, or nothing if the text is none. */
export function nanosOf(text: string): number | undefined {
	const found = /^(\d+(?:\.\d*)?|\.\d+)([a-zµμ]+)$/.exec(text);
	const unit = UNITS[found?.[2] ?? ""];
	return found && unit !== undefined ? Number(found[1]) * unit : undefined;
}

/** A number without a unit, or nothing if the text is none. */
export function numberOf(text: string): number | undefined {
	const isNumber = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
	const number = Number(text);
	return isNumber && Number.isFinite(number) ? number : undefined;
}

/** A point in time in milliseconds since 1970; UTC where nothing else is said. Nothing if the text is none. */
export function millisOf(text: string): number | undefined {
	const found =
		/^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2})(:\d{2}(?:\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?$/i.exec(text);
	if (!found) return undefined;
	const [, day, minute = "00:00", seconds = ":00", zone = "Z"] = found;
	const millis = Date.parse(`${day}T${minute}${seconds}${zone.toUpperCase()}`);
	return Number.isNaN(millis) ? undefined : millis;
}

/** A length of time as a question writes it, in the largest unit that it is a whole number of. */
export function lengthOf(nanos: number): string {
	for (const unit of ["d", "h", "m", "s", "ms", "us"]) {
		const count = nanos / (UNITS[unit] ?? 1);
		if (Number.isInteger(count)) return `${count}${unit}`;
	}
	return `${Math.round(nanos)}ns`;
}
