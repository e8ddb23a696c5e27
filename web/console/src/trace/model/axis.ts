/** Marks on a time axis: round distances, and labels that are as precise as the distance between them, and no more. */
import type { Stretch } from "./times";

const SECOND = 1e9;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Beyond seconds, what is round is not decimal. */
const LONG_STEPS = [1, 2, 5, 10, 15, 30].flatMap((n) => [n * SECOND, n * MINUTE, n * HOUR]);

export interface Tick {
	readonly at: number;
	readonly label: string;
}

export function ticks({ from, to }: Stretch, width: number, apart = 96): Tick[] {
	const length = to - from;
	if (!(length > 0) || !(width > 0)) return [];
	const step = roundStep((length * apart) / width);
	const list: Tick[] = [];
	for (let n = Math.ceil(from / step); n * step <= to; n++) {
		list.push({ at: n * step, label: tickLabel(n * step, step, to) });
	}
	return list;
}

function roundStep(least: number): number {
	if (least > SECOND / 2) {
		const long = LONG_STEPS.filter((step) => step >= least);
		if (long.length > 0) return Math.min(...long);
	}
	const power = 10 ** Math.floor(Math.log10(least));
	return ([1, 2, 5].find((n) => n * power >= least) ?? 10) * power;
}

function tickLabel(at: number, step: number, to: number): string {
	if (at === 0) return "0";
	if (step >= SECOND && to >= MINUTE) return clockLabel(at);
	const [unit, size] = to >= SECOND ? ["s", SECOND] : to >= 1e6 ? ["ms", 1e6] : ["µs", 1e3];
	const decimals = Math.max(0, Math.ceil(-Math.log10(step / (size as number)) - 1e-9));
	return `${(at / (size as number)).toFixed(decimals)}\u00a0${unit}`;
}

/** 1:05, 1:02:03: minutes and seconds, hours before them if there are any. */
function clockLabel(at: number): string {
	const seconds = Math.round(at / SECOND);
	const two = (n: number) => String(n).padStart(2, "0");
	const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
	return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
