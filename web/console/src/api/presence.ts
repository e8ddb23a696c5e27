/** Whether the server is there, as every request tells it. The shell shows it, and looks for the server while it is away. */
import { useSyncExternalStore } from "react";

let away = false;
const watchers = new Set<() => void>();

function set(value: boolean): void {
	if (away === value) return;
	away = value;
	for (const watcher of watchers) watcher();
}

/** A request was answered. */
export const heard = () => set(false);

/** A request found no server. */
export const missed = () => set(true);

function watch(watcher: () => void): () => void {
	watchers.add(watcher);
	return () => watchers.delete(watcher);
}

/** Whether the server is away. */
export function useIsAway(): boolean {
	return useSyncExternalStore(watch, () => away);
}
