/**
 * Numbers and times as people read them. Every place in the console says a duration, a count, a size or a time by these,
 * so that equal things look equal.
 */

const MICRO = 1e3;
const MILLI = 1e6;
const SECOND = 1e9;
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** No break between a number and its unit. */
const GAP = "\u00a0";

/** A duration in nanoseconds: three digits up to a minute, then the two largest units. */
export function formatDuration(ns: number): string {
	if (!Number.isFinite(ns)) return "–";
	if (ns < 0) return `-${formatDuration(-ns)}`;
	if (ns === 0) return `0${GAP}ms`;
	for (const [unit, size] of [
		["ns", 1],
		["µs", MICRO],
		["ms", MILLI],
	] as const) {
		const digits = threeDigits(ns / size);
		// 999.9 µs would read 1,000 µs: then it is 1 ms.
		if (Number(digits) < 1000) return `${digits}${GAP}${unit}`;
	}
	const seconds = ns / SECOND;
	const digits = threeDigits(seconds);
	if (Number(digits) < MINUTE) return `${digits}${GAP}s`;
	return clockParts(Math.round(seconds));
}

function clockParts(seconds: number): string {
	const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
	if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)}m${GAP}${two(seconds % MINUTE)}s`;
	if (seconds < DAY)
		return `${Math.floor(seconds / HOUR)}h${GAP}${two((seconds % HOUR) / MINUTE)}m`;
	return `${Math.floor(seconds / DAY)}d${GAP}${two((seconds % DAY) / HOUR)}h`;
}

/** The running time of something that ticks before the reader's eyes: whole seconds, so that it does not flicker. */
export function formatElapsed(ms: number): string {
	const seconds = Math.max(0, Math.floor(ms / 1000));
	return seconds < MINUTE ? `${seconds}${GAP}s` : clockParts(seconds);
}

function threeDigits(value: number): string {
	const decimals = value < 10 ? 2 : value < 100 ? 1 : 0;
	return String(Number(value.toFixed(decimals)));
}

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A count: exact up to 99,999, then three digits with k, M or G. */
export function formatCount(count: number): string {
	if (!Number.isFinite(count)) return "–";
	if (Math.abs(count) < 100_000) return grouped.format(count);
	const scaled = ["k", "M", "G", "T"].map((unit, at) => [unit, count / 1000 ** (at + 1)] as const);
	const [unit, value] = scaled.find(([, value]) => Math.abs(value) < 999.5) ??
		scaled[3] ?? ["", count];
	return `${threeDigits(value)}${unit}`;
}

/** A rate, such as events in a second: one decimal while it is small. */
export function formatRate(perSecond: number): string {
	if (!Number.isFinite(perSecond)) return "–";
	if (perSecond === 0) return "0";
	return perSecond < 10 ? perSecond.toFixed(1) : formatCount(Math.round(perSecond));
}

/** A size in bytes, in units of 1,024. */
export function formatBytes(bytes: number): string {
	if (!Number.isFinite(bytes)) return "–";
	if (bytes < 1024) return `${grouped.format(bytes)}${GAP}B`;
	const scaled = ["KiB", "MiB", "GiB", "TiB"].map(
		(unit, at) => [unit, bytes / 1024 ** (at + 1)] as const,
	);
	const [unit, value] = scaled.find(([, value]) => value < 1023.5) ?? scaled[3] ?? ["B", bytes];
	return `${threeDigits(value)}${GAP}${unit}`;
}

/** What a time may be given as: milliseconds since 1970, or ISO 8601. */
export type Moment = number | string | Date;

const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const dayAndClock = new Intl.DateTimeFormat("en-GB", {
	day: "numeric",
	month: "short",
	hour: "2-digit",
	minute: "2-digit",
});
const date = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const exact = new Intl.DateTimeFormat("en-GB", {
	day: "numeric",
	month: "short",
	year: "numeric",
	hour: "2-digit",
	minute: "2-digit",
	second: "2-digit",
	fractionalSecondDigits: 3,
});

/** A time in the reader's zone, as short as today allows; `now` is by the clock that the time was taken from. */
export function formatTime(moment: Moment, now: Moment): string {
	const [at, today] = [new Date(moment), new Date(now)];
	if (Number.isNaN(at.getTime())) return "–";
	if (at.toDateString() === today.toDateString()) return clock.format(at);
	return (at.getFullYear() === today.getFullYear() ? dayAndClock : date).format(at);
}

/** A time in the reader's zone to the millisecond, for titles and details. */
export function formatTimeExact(moment: Moment): string {
	const at = new Date(moment);
	return Number.isNaN(at.getTime()) ? "–" : exact.format(at);
}

/** How long ago it was. What lies ahead of `now` by a clock's error is "just now". */
export function formatAgo(moment: Moment, now: Moment): string {
	const seconds = (new Date(now).getTime() - new Date(moment).getTime()) / 1000;
	if (Number.isNaN(seconds)) return "–";
	if (seconds < 5) return "just now";
	if (seconds < MINUTE) return `${Math.floor(seconds)}${GAP}s ago`;
	if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)}${GAP}min ago`;
	if (seconds < DAY) return `${Math.floor(seconds / HOUR)}${GAP}h ago`;
	return `${Math.floor(seconds / DAY)}${GAP}d ago`;
}
