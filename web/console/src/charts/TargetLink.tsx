/** A link to what a row of an answer is about. */

import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Target } from "./links";

export function TargetLink({ target, children }: { target: Target; children: ReactNode }) {
	if (target.kind === "build") {
		return (
			<Link to="/builds/$sessionId" params={{ sessionId: target.sessionId }}>
				{children}
			</Link>
		);
	}
	const search = target.spanId === undefined ? {} : { span: target.spanId };
	return (
		<Link to="/traces/$traceId" params={{ traceId: target.traceId }} search={search}>
			{children}
		</Link>
	);
}
