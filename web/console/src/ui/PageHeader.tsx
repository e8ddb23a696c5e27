/** The head of a page: its one h1, which is also what the browser's tab says, and what can be done on it. */
import { type ReactNode, useEffect } from "react";
import styles from "./page.module.css";

export interface PageHeaderProps {
	title: string;
	/** A line under the title. */
	meta?: ReactNode;
	/** Buttons. */
	children?: ReactNode;
}

export function PageHeader({ title, meta, children }: PageHeaderProps) {
	useTitle(title);
	return (
		<header className={styles.header}>
			<div className={styles.words}>
				<h1 className={styles.title} title={title}>
					{title}
				</h1>
				{meta && <div className={styles.meta}>{meta}</div>}
			</div>
			{children && <div className={styles.actions}>{children}</div>}
		</header>
	);
}

/** Names the browser's tab while the page is there. */
export function useTitle(title: string): void {
	useEffect(() => {
		document.title = `${title} · Hopline`;
	}, [title]);
}
