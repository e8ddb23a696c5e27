/**
 * Where menus and lists open: within the page's main landmark, so that assistive technology finds them in a place that has a
 * name. Within a dialog they open in the dialog, since everything else is hidden then.
 */
import { createContext, type ReactNode, useContext } from "react";

const Host = createContext<HTMLElement | null>(null);

export interface PopupHostProps {
	/** The element to open in; none for where the component itself would. */
	element: HTMLElement | null;
	children: ReactNode;
}

export function PopupHost({ element, children }: PopupHostProps) {
	return <Host value={element}>{children}</Host>;
}

/** The element to open in; none for the default. */
export function usePopupHost(): HTMLElement | undefined {
	return useContext(Host) ?? undefined;
}
