/** Time that components can watch. One timer serves all who watch at the same pace, and rests while the page is hidden. */
import { useSyncExternalStore } from "react";
import { serverNow } from "./clock";

class Ticker {
	private now = serverNow();
	private readonly watchers = new Set<() => void>();
	private timer: ReturnType<typeof setInterval> | undefined;

	constructor(private readonly paceMs: number) {}

	readonly subscribe = (watcher: () => void) => {
		if (this.watchers.size === 0) this.start();
		this.watchers.add(watcher);
		return () => {
			this.watchers.delete(watcher);
			if (this.watchers.size === 0) this.stop();
		};
	};

	readonly read = () => this.now;

	private readonly tick = () => {
		if (document.hidden) return;
		this.now = serverNow();
		for (const watcher of this.watchers) watcher();
	};

	private start() {
		this.now = serverNow();
		this.timer = setInterval(this.tick, this.paceMs);
		document.addEventListener("visibilitychange", this.tick);
	}

	private stop() {
		clearInterval(this.timer);
		document.removeEventListener("visibilitychange", this.tick);
	}
}

const tickers = new Map<number, Ticker>();

function tickerOf(paceMs: number): Ticker {
	const known = tickers.get(paceMs);
	if (known) return known;
	const made = new Ticker(paceMs);
	tickers.set(paceMs, made);
	return made;
}

/** The server's time in milliseconds since 1970, read anew at this pace. */
export function useNow(paceMs = 1000): number {
	const ticker = tickerOf(paceMs);
	return useSyncExternalStore(ticker.subscribe, ticker.read);
}
