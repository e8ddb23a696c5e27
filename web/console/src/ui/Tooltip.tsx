/**
 * A few words beside what the pointer or the focus is on.
 *
 * They are for eyes only: whatever they say must also be in the element's own name or text.
 */
import { Tooltip as Base } from "@base-ui/react/tooltip";
import type { ReactElement, ReactNode } from "react";
import styles from "./tooltip.module.css";

export interface TooltipProps {
	label: ReactNode;
	/** The one element it belongs to. */
	children: ReactElement<Record<string, unknown>>;
	side?: "top" | "bottom" | "left" | "right" | undefined;
}

export function Tooltip({ label, children, side = "top" }: TooltipProps) {
	return (
		<Base.Root>
			<Base.Trigger render={children} />
			<Base.Portal>
				<Base.Positioner className={styles.positioner} side={side} sideOffset={6}>
					<Base.Popup className={styles.popup}>{label}</Base.Popup>
				</Base.Positioner>
			</Base.Portal>
		</Base.Root>
	);
}
