/** How the values of an answer are written: by their column's unit. */

import { formatCount, formatDuration, formatTime, formatTimeExact } from "../ui";
import { millisOf, numberOf, type Unit, type Value } from "./answer";

const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const percent = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 2 });

/** A value in full, for a cell of a table. */
export function formatValue(value: Value | undefined, unit: Unit): string {
	if (value === null || value === undefined) return "–";
	if (unit === "time" || unit === "bucket") {
		const millis = millisOf(value);
		return millis === null ? String(value) : formatTimeExact(millis);
	}
	const number = typeof value === "number" || unit !== "plain" ? numberOf(value) : null;
	return number === null ? String(value) : formatNumber(number, unit);
}

/** A number with its unit. */
export function formatNumber(value: number, unit: Unit): string {
	switch (unit) {
		case "nanoseconds":
			return formatDuration(value);
		case "milliseconds":
			return formatDuration(value * 1e6);
		case "share":
			return percent.format(value);
		default:
			return (Number.isInteger(value) ? whole : plain).format(value);
	}
}

/** A number as short as an axis or a bar needs it. */
export function formatShort(value: number, unit: Unit): string {
	if (unit !== "plain") return formatNumber(value, unit);
	return Math.abs(value) < 100 && !Number.isInteger(value)
		? plain.format(value)
		: formatCount(value);
}

const clock = new Intl.DateTimeFormat("en-GB", {
	hour: "2-digit",
	minute: "2-digit",
	second: "2-digit",
	fractionalSecondDigits: 3,
});

const minute = new Intl.DateTimeFormat("en-GB", {
	day: "numeric",
	month: "short",
	hour: "2-digit",
	minute: "2-digit",
});

/** From when to when: as exact as it takes to tell them apart, and with the day where it is not today. */
export function formatSpan(from: number, to: number, now: number): string {
	if (to - from < 10_000) return `${clock.format(from)} – ${clock.format(to)}`;
	const isToday = [from, to].every((at) => isSameDay(at, now));
	if (isToday) return `${formatTime(from, now)} – ${formatTime(to, now)}`;
	const end = isSameDay(from, to) ? formatTime(to, to) : minute.format(to);
	return `${minute.format(from)} – ${end}`;
}

const isSameDay = (one: number, other: number) =>
	new Date(one).toDateString() === new Date(other).toDateString();
