/** What stands where there is nothing to show: since there is nothing yet, or since something went wrong. */
import type { ReactNode } from "react";
import { formatTime } from "./format";
import { AlertIcon } from "./icons";
import styles from "./notes.module.css";

export interface EmptyStateProps {
	icon?: ReactNode;
	title: string;
	/** What would make something appear. */
	children?: ReactNode;
	action?: ReactNode;
}

export function EmptyState({ icon, title, children, action }: EmptyStateProps) {
	return (
		<div className={styles.empty}>
			{icon}
			<h2 className={styles.title}>{title}</h2>
			{children && <div className={styles.body}>{children}</div>}
			{action && <div className={styles.action}>{action}</div>}
		</div>
	);
}

export interface ErrorNoteProps {
	/** What went wrong, in a sentence. */
	title: string;
	/** What to do about it. */
	children?: ReactNode;
	action?: ReactNode;
}

export function ErrorNote({ title, children, action }: ErrorNoteProps) {
	return (
		<div className={styles.error} role="alert">
			<AlertIcon />
			<div className={styles.words}>
				<p className={styles.what}>{title}</p>
				{children}
			</div>
			{action}
		</div>
	);
}

export interface NotRefreshedProps {
	/** When what is shown was read, in milliseconds since 1970 by this machine's clock. */
	since: number;
	/** Why nothing newer is there. */
	children: ReactNode;
}

/** Says of what is shown that it is old, in a line. */
export function NotRefreshed({ since, children }: NotRefreshedProps) {
	return (
		<p className={styles.old} role="status">
			<AlertIcon size={14} />
			<span>
				Not refreshed since {formatTime(since, Date.now())}. {children}
			</span>
		</p>
	);
}
