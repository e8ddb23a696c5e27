/** How long a build has taken; while it runs it ticks by itself. */

import type { BuildRow } from "../api/types";
import { useNow } from "../api/useNow";
import { formatDuration, formatElapsed } from "../ui";

type Timed = Pick<BuildRow, "status" | "startedAt" | "endedAt">;

export function Elapsed({ build }: { build: Timed }) {
	if (build.endedAt !== null) {
		return formatDuration((Date.parse(build.endedAt) - Date.parse(build.startedAt)) * 1e6);
	}
	// One that has ended without saying when does not tick.
	return build.status === "active" ? <Ticking since={build.startedAt} /> : "–";
}

function Ticking({ since }: { since: string }) {
	const now = useNow();
	return formatElapsed(now - Date.parse(since));
}
