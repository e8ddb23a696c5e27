/** In place of a trace of which the server has no span: not yet, or not at all. */
import { Link } from "@tanstack/react-router";
import type { BuildRow } from "../api/types";
import { Button, buttonClass, EmptyState, Spinner } from "../ui";
import { oneLine } from "./model/text";

export interface NoTraceProps {
	traceId: string;
	/** Undefined while that is not known. */
	build: BuildRow | null | undefined;
	onRetry(): void;
}

export function NoTrace({ traceId, build, onRetry }: NoTraceProps) {
	if (build === undefined) return null;
	if (build?.status === "active") {
		return (
			<EmptyState icon={<Spinner />} title="Waiting for the first spans">
				<p role="status">
					The build has begun. Its spans appear here within a second or two of being made.
				</p>
			</EmptyState>
		);
	}
	return (
		<EmptyState
			title={build ? "This build has no spans" : "There is no trace of this id"}
			action={
				<>
					<Button onClick={onRetry}>Look again</Button>
					<Link to="/" className={buttonClass()}>
						Go to the builds
					</Link>
				</>
			}
		>
			<p>
				{build
					? "It was not sampled, or its spans are older than those that are kept."
					: "It may be mistyped, not be here yet, or be older than the spans that are kept."}
			</p>
			<p>
				<code>{oneLine(traceId, 64)}</code>
			</p>
		</EmptyState>
	);
}
