/** Trying a secret: right, wrong, too early, or without an answer. */
import { useMutation } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { adviceFor } from "../../api/ApiErrorNote";
import { hasCode, send } from "../../api/client";
import { rememberSignedIn } from "../signedIn";

export type Problem = { kind: "wrong" } | { kind: "other"; title: string; advice: string };

/** What an error of the sign-in is to people; none for "too early", which is told by the seconds to wait. */
export function problemOf(error: unknown): Problem | undefined {
	if (!error || hasCode(error, "too_many_attempts")) return undefined;
	if (hasCode(error, "forbidden")) return { kind: "wrong" };
	return { kind: "other", title: "The sign-in did not work", advice: adviceFor(error) };
}

export function useSignIn(onSignedIn: () => void) {
	const [secondsToWait, setSecondsToWait] = useCountdown();
	const attempt = useMutation({
		mutationFn: (secret: string) => send("POST", "signin", { secret }),
		onSuccess() {
			rememberSignedIn();
			onSignedIn();
		},
		onError(error) {
			if (hasCode(error, "too_many_attempts")) setSecondsToWait(error.retryAfter ?? 5);
		},
	});
	return {
		signIn: (secret: string) => attempt.mutateAsync(secret).catch(() => undefined),
		isPending: attempt.isPending,
		problem: problemOf(attempt.error),
		secondsToWait,
	};
}

/** Seconds that run down to 0. */
function useCountdown(): [number, (seconds: number) => void] {
	const [seconds, setSeconds] = useState(0);
	useEffect(() => {
		if (seconds <= 0) return;
		const timer = setTimeout(() => setSeconds(seconds - 1), 1000);
		return () => clearTimeout(timer);
	}, [seconds]);
	return [seconds, setSeconds];
}
