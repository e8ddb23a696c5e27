/**
 * A link to what a row of an answer is about.
 *
 * A table draws many of them while it is scrolled: this one does no more than name an address and go there, where the
 * router's own watches whether it is the page that is shown.
 */

import { useNavigate } from "@tanstack/react-router";
import type { MouseEvent, ReactNode } from "react";
import { apiUrl } from "../api/client";
import type { Target } from "./links";

export function TargetLink({ target, children }: { target: Target; children: ReactNode }) {
	const navigate = useNavigate();
	const follow = (event: MouseEvent) => {
		// With a key held the browser opens it elsewhere.
		if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey)
			return;
		event.preventDefault();
		if (target.kind === "build") {
			navigate({ to: "/builds/$sessionId", params: { sessionId: target.sessionId } });
		} else {
			const search = target.spanId === undefined ? {} : { span: target.spanId };
			navigate({ to: "/traces/$traceId", params: { traceId: target.traceId }, search });
		}
	};
	return (
		<a href={apiUrl(pathOf(target))} onClick={follow}>
			{children}
		</a>
	);
}

/** Ids are hexadecimal, and need no escaping. */
function pathOf(target: Target): string {
	if (target.kind === "build") return `builds/${target.sessionId}`;
	const span = target.spanId === undefined ? "" : `?span=${target.spanId}`;
	return `traces/${target.traceId}${span}`;
}
