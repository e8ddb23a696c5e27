/** How far a build is through its todos, and what there is to say of it: an error first, then how it went. */
import type { BuildRow } from "../api/types";
import { cx } from "../ui";
import styles from "./progress.module.css";

export function Progress({ build }: { build: BuildRow }) {
	const [done, total] = [build.todosDone ?? 0, build.todosTotal ?? 0];
	// That it was cancelled is said by its status.
	const words = isCancelled(build) ? undefined : (build.errorMessage ?? build.summary);
	return (
		<div className={styles.progress}>
			{total > 0 && (
				<>
					<Bar done={done} total={total} status={build.status} />
					<span className={styles.count}>
						{done} of {total}
					</span>
				</>
			)}
			{words && (
				<span className={cx(styles.words, build.status === "failed" && styles.error)} title={words}>
					{words}
				</span>
			)}
		</div>
	);
}

/** Whether somebody ended it, which is no error. */
export function isCancelled({
	status,
	errorMessage,
}: Pick<BuildRow, "status" | "errorMessage">): boolean {
	return status === "failed" && errorMessage === "cancelled";
}

function Bar({ done, total, status }: { done: number; total: number; status: BuildRow["status"] }) {
	return (
		<span
			className={cx(styles.bar, styles[status])}
			role="progressbar"
			aria-label="Todos done"
			aria-valuenow={done}
			aria-valuemax={total}
		>
			<span className={styles.done} style={{ transform: `scaleX(${done / total})` }} />
		</span>
	);
}
