/** How many events a second a running build sends. */
import { useState } from "react";
import { useNow } from "../../api/useNow";
import { NO_RATES, nextRates } from "../../builds/rates";

/** The rate of a build whose last event is `lastSeq`; none before it is known, and once the build has ended. */
export function useEventRate(
	sessionId: string,
	status: "active" | "completed" | "failed",
	lastSeq: number,
): number | undefined {
	const now = useNow();
	const [known, setKnown] = useState({ rates: NO_RATES, at: 0 });
	if (now === known.at) return known.rates.get(sessionId)?.rate;
	const rates = nextRates(known.rates, [{ sessionId, status, lastSeq }], now);
	setKnown({ rates, at: now });
	return rates.get(sessionId)?.rate;
}
