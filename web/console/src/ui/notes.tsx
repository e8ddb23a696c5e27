/** What stands where there is nothing to show: since there is nothing yet, or since something went wrong. */
import type { ReactNode } from "react";
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
