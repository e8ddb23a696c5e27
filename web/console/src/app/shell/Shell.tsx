/** The frame around every page: navigation, theme, the word that the server is away, and where the page itself goes. */
import { useRouterState } from "@tanstack/react-router";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { PopupHost } from "../../ui";
import { AwayBar } from "./AwayBar";
import { Navigation } from "./Navigation";
import { SignOutButton } from "./SignOutButton";
import styles from "./shell.module.css";
import { ThemeMenu } from "./ThemeMenu";
import { Wordmark } from "./Wordmark";

export function Shell({ children }: { children: ReactNode }) {
	const main = useRef<HTMLElement>(null);
	const [popups, setPopups] = useState<HTMLElement | null>(null);
	useFocusOnNewPage(main);

	return (
		<PopupHost element={popups}>
			<div className={styles.shell}>
				<header className={styles.bar}>
					{/* No link to #main: the page's base is the server's path, and such a link would lead there. */}
					<button type="button" className={styles.skip} onClick={() => main.current?.focus()}>
						Skip to the page
					</button>
					<Wordmark />
					<Navigation />
					<div className={styles.tools}>
						<ThemeMenu />
						<SignOutButton />
					</div>
				</header>
				<AwayBar />
				<main ref={main} className={styles.main} tabIndex={-1}>
					{children}
					<div ref={setPopups} />
				</main>
			</div>
		</PopupHost>
	);
}

/** Leads keyboards and screen readers to a new page's beginning, as a browser does by itself for documents. */
function useFocusOnNewPage(main: { readonly current: HTMLElement | null }): void {
	const pathname = useRouterState({ select: (state) => state.resolvedLocation?.pathname });
	const shown = useRef<string>(undefined);
	useEffect(() => {
		const isFirst = shown.current === undefined;
		const isSame = shown.current === pathname;
		shown.current = pathname;
		if (!isFirst && !isSame) main.current?.focus({ preventScroll: true });
	}, [pathname, main]);
}
