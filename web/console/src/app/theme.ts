/** Light or dark: the system's choice unless the reader made one, which this browser then keeps. */
import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";

const KEY = "hopline.theme";
const watchers = new Set<() => void>();

function isTheme(value: unknown): value is Theme {
	return value === "system" || value === "light" || value === "dark";
}

function stored(): Theme {
	try {
		const value = localStorage.getItem(KEY);
		return isTheme(value) ? value : "system";
	} catch {
		// A browser that keeps nothing for pages has the system's theme.
		return "system";
	}
}

let theme: Theme = stored();

/** Makes the page look as was chosen. */
export function applyTheme(): void {
	const { dataset } = document.documentElement;
	if (theme === "system") delete dataset.theme;
	else dataset.theme = theme;
}

export function setTheme(chosen: Theme): void {
	theme = chosen;
	try {
		if (chosen === "system") localStorage.removeItem(KEY);
		else localStorage.setItem(KEY, chosen);
	} catch {
		// It then holds for as long as the page is open.
	}
	applyTheme();
	for (const watcher of watchers) watcher();
}

function watch(watcher: () => void): () => void {
	watchers.add(watcher);
	// Another tab may have chosen.
	const onStorage = (event: StorageEvent) => {
		if (event.key !== KEY) return;
		theme = stored();
		applyTheme();
		watcher();
	};
	addEventListener("storage", onStorage);
	return () => {
		watchers.delete(watcher);
		removeEventListener("storage", onStorage);
	};
}

export function useTheme(): Theme {
	return useSyncExternalStore(watch, () => theme);
}
