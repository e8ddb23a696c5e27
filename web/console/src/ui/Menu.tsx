/** Things to do, behind one button. */
import { Menu as Base } from "@base-ui/react/menu";
import type { ReactElement, ReactNode } from "react";
import { cx } from "./cx";
import { CheckIcon } from "./icons";
import { usePopupHost } from "./PopupHost";
import popup from "./popup.module.css";

export type MenuItem =
	| {
			label: string;
			onSelect(): void;
			icon?: ReactNode;
			/** A short note at the end, such as a key. */
			hint?: ReactNode;
			/** Whether it is the one that holds, of several. */
			checked?: boolean | undefined;
			danger?: boolean | undefined;
			disabled?: boolean | undefined;
	  }
	| "separator";

export interface MenuProps {
	/** The button that opens it. */
	trigger: ReactElement<Record<string, unknown>>;
	items: readonly MenuItem[];
	align?: "start" | "end" | undefined;
	side?: "top" | "bottom" | undefined;
}

export function Menu({ trigger, items, align = "end", side = "bottom" }: MenuProps) {
	const host = usePopupHost();
	const choosing = items.some((item) => item !== "separator" && item.checked !== undefined);
	return (
		<Base.Root>
			<Base.Trigger render={trigger} />
			<Base.Portal container={host}>
				<Base.Positioner className={popup.positioner} align={align} side={side} sideOffset={4}>
					<Base.Popup className={popup.popup}>
						{items.map((item, at) =>
							item === "separator" ? (
								// biome-ignore lint/suspicious/noArrayIndexKey: a separator has no name, only a place.
								<Base.Separator key={at} className={popup.separator} />
							) : (
								<Base.Item
									key={item.label}
									className={cx(popup.item, item.danger && popup.danger)}
									disabled={item.disabled ?? false}
									aria-current={item.checked || undefined}
									onClick={item.onSelect}
								>
									{choosing && (
										<span className={popup.mark}>{item.checked && <CheckIcon size={12} />}</span>
									)}
									{item.icon}
									<span className={popup.text}>{item.label}</span>
									{item.hint && <span className={popup.hint}>{item.hint}</span>}
								</Base.Item>
							),
						)}
					</Base.Popup>
				</Base.Positioner>
			</Base.Portal>
		</Base.Root>
	);
}
