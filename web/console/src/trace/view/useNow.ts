/** The moment that unfinished spans reach to, moving while the trace grows. */
import { useEffect, useState } from "react";
import type { TraceModel } from "../model/model";

/** Often enough to be seen moving, seldom enough to cost nothing. */
const EVERY_MS = 250;

/** Nanoseconds after the trace's start; of a trace that no longer grows, its end. */
export function useNow(model: TraceModel): number {
	const [now, setNow] = useState(0);
	const read = model.now;
	useEffect(() => {
		if (!read) return;
		setNow(read());
		const timer = setInterval(() => {
			if (!document.hidden) setNow(read());
		}, EVERY_MS);
		return () => clearInterval(timer);
	}, [read]);
	return read ? Math.max(now, model.times.total) : model.times.total;
}
