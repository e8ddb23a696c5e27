/** Pages in place of a page: while it loads, when it fails, when there is none of that address. */
import type { ErrorComponentProps } from "@tanstack/react-router";
import { Link, useRouter } from "@tanstack/react-router";
import { adviceFor } from "../api/ApiErrorNote";
import { ApiError } from "../api/client";
import { Button, buttonClass, EmptyState, PageHeader, Spinner, useTitle } from "../ui";
import styles from "./states.module.css";

export function PageLoading() {
	return (
		<div className={styles.loading}>
			<Spinner label="Loading the page" />
		</div>
	);
}

export function NotFound() {
	return (
		<>
			<PageHeader title="Not found" />
			<EmptyState
				title="There is no page at this address"
				action={
					<Link className={buttonClass()} to="/">
						Go to the builds
					</Link>
				}
			>
				It may have been mistyped, or what it led to is gone.
			</EmptyState>
		</>
	);
}

export function PageError({ error, reset }: ErrorComponentProps) {
	const router = useRouter();
	useTitle("Something went wrong");
	const isApiError = error instanceof ApiError;
	const isLoadError = isLoadFailure(error);

	function tryAgain() {
		// Code that could not be loaded is only asked for again by a new page.
		if (!isApiError) return location.reload();
		reset();
		router.invalidate();
	}

	return (
		<EmptyState
			title="Something went wrong"
			action={
				<>
					<Button variant="primary" onClick={tryAgain}>
						{isApiError ? "Try again" : "Reload the page"}
					</Button>
					<Link className={buttonClass()} to="/">
						Go to the builds
					</Link>
				</>
			}
		>
			{isLoadError
				? "A part of the console could not be loaded. The server may have been updated or be away."
				: isApiError
					? adviceFor(error)
					: "This page ran into an error. Nothing on the server is affected."}
			{!isApiError && !isLoadError && <pre className={styles.detail}>{messageOf(error)}</pre>}
		</EmptyState>
	);
}

/** Whether a page's code could not be fetched. Each browser has its own words for it. */
function isLoadFailure(error: unknown): boolean {
	return /dynamically imported module|module script failed|preload/i.test(messageOf(error));
}

function messageOf(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}
