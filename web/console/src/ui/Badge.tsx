/** Small labels, and how something stands: in words, in a colour, and in a shape. */
import type { ReactNode } from "react";
import styles from "./badge.module.css";
import { cx } from "./cx";
import { CheckIcon, CrossIcon } from "./icons";

export type Tone = "neutral" | "accent" | "ok" | "error" | "warn";

export interface BadgeProps {
	tone?: Tone | undefined;
	/** Without a ground of its own, for rows of a table. */
	plain?: boolean | undefined;
	children: ReactNode;
	title?: string | undefined;
}

export function Badge({ tone = "neutral", plain, children, title }: BadgeProps) {
	return (
		<span className={cx(styles.badge, styles[tone], plain && styles.plain)} title={title}>
			{children}
		</span>
	);
}

interface Look {
	tone: Tone;
	word: string;
	shape: "live" | "tick" | "cross" | "dot" | "hollow";
}

const running: Look = { tone: "accent", word: "Running", shape: "live" };
const failed: Look = { tone: "error", word: "Failed", shape: "cross" };

/** Every status that builds, todos, tool calls, projects, links and spans have. */
const LOOKS: Record<string, Look> = {
	active: running,
	running,
	in_progress: running,
	"input-available": running,
	completed: { tone: "ok", word: "Completed", shape: "tick" },
	ok: { tone: "ok", word: "OK", shape: "tick" },
	"output-available": { tone: "ok", word: "Done", shape: "tick" },
	failed,
	error: { tone: "error", word: "Error", shape: "cross" },
	"output-error": failed,
	cancelled: { tone: "neutral", word: "Cancelled", shape: "cross" },
	incomplete: { tone: "warn", word: "Incomplete", shape: "dot" },
	pending: { tone: "warn", word: "Pending", shape: "hollow" },
	waiting: { tone: "warn", word: "Waiting", shape: "hollow" },
	up: { tone: "ok", word: "Linked", shape: "dot" },
	down: { tone: "neutral", word: "Not linked", shape: "hollow" },
};

export interface StatusBadgeProps {
	/** As the API names it; one that is unknown is shown as it is. */
	status: string;
	/** Another word for it. */
	label?: string | undefined;
	plain?: boolean | undefined;
	title?: string | undefined;
}

export function StatusBadge({ status, label, plain, title }: StatusBadgeProps) {
	const look = LOOKS[status] ?? { tone: "neutral", word: status, shape: "dot" };
	return (
		<Badge tone={look.tone} plain={plain} title={title}>
			<Shape shape={look.shape} />
			{label ?? look.word}
		</Badge>
	);
}

function Shape({ shape }: Pick<Look, "shape">) {
	if (shape === "tick") return <CheckIcon size={12} />;
	if (shape === "cross") return <CrossIcon size={12} />;
	return (
		<span
			className={cx(
				styles.dot,
				shape === "live" && styles.live,
				shape === "hollow" && styles.hollow,
			)}
			aria-hidden="true"
		/>
	);
}
