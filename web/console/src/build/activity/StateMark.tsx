/** How a todo or a tool call stands: a shape in its colour, and the word for it to screen readers. */
import { CheckIcon, CrossIcon, cx } from "../../ui";
import styles from "./stateMark.module.css";

export type Mark = "running" | "done" | "failed" | "unanswered" | "pending" | "stopped";

const WORDS: Record<Mark, string> = {
	running: "Running",
	done: "Done",
	failed: "Failed",
	unanswered: "Not answered",
	pending: "Pending",
	stopped: "Not finished",
};

export function StateMark({ mark }: { mark: Mark }) {
	return (
		<span className={cx(styles.mark, styles[mark])} title={WORDS[mark]}>
			<Shape mark={mark} />
			<span className="visually-hidden">{WORDS[mark]}</span>
		</span>
	);
}

function Shape({ mark }: { mark: Mark }) {
	if (mark === "done") return <CheckIcon size={14} />;
	if (mark === "failed") return <CrossIcon size={14} />;
	return <span className={styles.dot} aria-hidden="true" />;
}
