/** Looks for words in what the list shows of a build. */
import type { BuildRow } from "../api/types";

/** Whether every word stands somewhere in the row, in any case. */
export function matches(build: BuildRow, words: string): boolean {
	const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
	if (wanted.length === 0) return true;
	const shown = [
		build.projectName,
		build.projectSlug,
		build.agentId,
		build.runnerId,
		build.summary,
		build.errorMessage,
		build.sessionId,
		build.buildId,
		build.commandId,
		build.traceId,
	];
	const text = shown.filter(Boolean).join("\n").toLowerCase();
	return wanted.every((word) => text.includes(word));
}

/** Whether it may be the id of a build, of its command or of its trace: then the server knows it, however old it is. */
export function mayBeId(words: string): boolean {
	return /^[0-9a-f]{32}$|^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(words.trim());
}
