/** A build: its todos, tool calls and texts as they happen, beside its trace. */
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { ApiErrorNote } from "../api/ApiErrorNote";
import { hasCode } from "../api/client";
import { buttonClass, EmptyState, PageHeader, SkeletonRows } from "../ui";
import { BuildPage } from "./BuildPage";
import styles from "./build.module.css";
import { buildQuery } from "./queries";

const route = getRouteApi("/builds/$sessionId");

export function Page() {
	const { sessionId: id } = route.useParams();
	const { data: row, error, refetch } = useQuery(buildQuery(id));
	if (row) return <BuildPage key={row.sessionId} id={id} row={row} />;
	if (hasCode(error, "not_found", "bad_request")) return <Unknown />;
	return (
		<>
			<PageHeader title="Build" />
			{error ? (
				<div className={styles.note}>
					<ApiErrorNote
						error={error}
						title="The build could not be read"
						onRetry={() => void refetch()}
					/>
				</div>
			) : (
				<SkeletonRows label="Reading the build" />
			)}
		</>
	);
}

function Unknown() {
	return (
		<>
			<PageHeader title="Build" />
			<EmptyState
				title="There is no such build"
				action={
					<Link className={buttonClass()} to="/">
						Go to the builds
					</Link>
				}
			>
				Its address may have been mistyped, or it was deleted with its project.
			</EmptyState>
		</>
	);
}
