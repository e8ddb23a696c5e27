/** A value that changes many times a second, taken over once a second at most, for what costs more than drawing it. */
import { useState } from "react";
import { useNow } from "../api/useNow";

export function useEverySecond<T>(value: T): T {
	const now = useNow();
	const [kept, setKept] = useState({ value, at: now });
	if (now !== kept.at && value !== kept.value) {
		setKept({ value, at: now });
		return value;
	}
	return kept.value;
}
