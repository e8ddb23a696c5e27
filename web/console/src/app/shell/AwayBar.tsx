/** Says that the server is away, looks for it, and has everything on the page read again once it is back. */
import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { request } from "../../api/client";
import { useIsAway } from "../../api/presence";
import { Spinner } from "../../ui";
import styles from "./away.module.css";

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 8_000;

export function AwayBar() {
	const isAway = useIsAway();
	useReturn(isAway);
	return (
		<div role="status">
			{isAway && (
				<p className={styles.bar}>
					<Spinner />
					The server is away. What you see is what it said last; this goes on by itself once it is
					back.
				</p>
			)}
		</div>
	);
}

function useReturn(isAway: boolean): void {
	const queryClient = useQueryClient();
	useEffect(() => {
		if (!isAway) return;
		const search = new AbortController();
		lookForServer(search.signal);
		return () => {
			search.abort();
			queryClient.invalidateQueries();
		};
	}, [isAway, queryClient]);
}

/** Asks until there is an answer, while the page is seen; the client then notes that the server is there. */
async function lookForServer(signal: AbortSignal): Promise<void> {
	for (let wait = FIRST_WAIT_MS; !signal.aborted; wait = Math.min(wait * 1.5, LONGEST_WAIT_MS)) {
		await new Promise((resolve) => setTimeout(resolve, wait));
		await pageIsSeen(signal);
		const answer = signal.aborted || (await request("health", { signal }).catch(() => undefined));
		if (answer) return;
	}
}

/** Waits while the page is hidden: its reader finds out at once when they come back. */
function pageIsSeen(signal: AbortSignal): Promise<void> {
	if (!document.hidden) return Promise.resolve();
	return new Promise((resolve) => {
		const look = () => !document.hidden && resolve();
		document.addEventListener("visibilitychange", look, { signal });
		signal.addEventListener("abort", () => resolve(), { once: true });
	});
}
