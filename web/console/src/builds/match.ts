/** Looks for words in what the list shows of a build. */
import type { BuildRow } from "../api/types";

/** Fewer letters than these begin an id by chance. */
const SHORTEST_ID = 4;

/** Whether every word stands somewhere in the row, in any case, or begins one of its ids. */
export function matches(build: BuildRow, words: string): boolean {
	const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
	if (wanted.length === 0) return true;
	const { projectName, projectSlug, agentId, runnerId, summary, errorMessage } = build;
	const text = [projectName, projectSlug, agentId, runnerId, summary, errorMessage]
		.join("\n")
		.toLowerCase();
	const ids = [build.sessionId, build.buildId, build.commandId, build.traceId];
	const beginsId = (word: string) =>
		word.length >= SHORTEST_ID && ids.some((id) => id?.toLowerCase().startsWith(word));
	return wanted.every((word) => text.includes(word) || beginsId(word));
}

/** Whether it may be the id of a build, of its command or of its trace: then the server knows it, however old it is. */
export function mayBeId(words: string): boolean {
	return /^[0-9a-f]{32}$|^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(words.trim());
}
