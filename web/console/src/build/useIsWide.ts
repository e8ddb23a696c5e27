/** Whether there is room for the trace beside the build. */
import { useSyncExternalStore } from "react";

/** The same as in build.module.css. */
const wide = () => matchMedia("(width >= 1000px)");

function subscribe(changed: () => void): () => void {
	const query = wide();
	query.addEventListener("change", changed);
	return () => query.removeEventListener("change", changed);
}

export function useIsWide(): boolean {
	return useSyncExternalStore(subscribe, () => wide().matches);
}
