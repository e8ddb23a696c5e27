/** A choice of several values to filter by, each with how many spans have it. */
import { Menu } from "@base-ui/react/menu";
import type { ReactNode } from "react";
import { Button, CheckIcon, ChevronDownIcon, formatCount } from "../../ui";
import { usePopupHost } from "../../ui/PopupHost";
import popup from "../../ui/popup.module.css";
import { oneLine } from "../model/text";
import styles from "./toolbar.module.css";

export interface FilterChoice {
	readonly value: string;
	readonly count: number;
	readonly sign?: ReactNode;
}

export interface FilterMenuProps {
	label: string;
	choices: readonly FilterChoice[];
	chosen: readonly string[];
	onChange(chosen: readonly string[]): void;
}

export function FilterMenu({ label, choices, chosen, onChange }: FilterMenuProps) {
	const host = usePopupHost();
	const change = (value: string, on: boolean) =>
		onChange(on ? [...chosen, value] : chosen.filter((it) => it !== value));
	return (
		<Menu.Root>
			<Menu.Trigger
				render={
					<Button data-on={chosen.length > 0 ? "" : undefined} className={styles.filter}>
						{label}
						{chosen.length > 0 && <span className={styles.chosen}>{chosen.length}</span>}
						<ChevronDownIcon size={12} />
					</Button>
				}
			/>
			<Menu.Portal container={host}>
				<Menu.Positioner className={popup.positioner} align="start" sideOffset={4}>
					<Menu.Popup className={popup.popup}>
						{choices.map(({ value, count, sign }) => (
							<Menu.CheckboxItem
								key={value}
								className={popup.item}
								checked={chosen.includes(value)}
								onCheckedChange={(on) => change(value, on)}
								closeOnClick={false}
							>
								<span className={popup.mark}>
									<Menu.CheckboxItemIndicator>
										<CheckIcon size={12} />
									</Menu.CheckboxItemIndicator>
								</span>
								{sign}
								<span className={popup.text}>{oneLine(value, 80) || "(none)"}</span>
								<span className={popup.hint}>{formatCount(count)}</span>
							</Menu.CheckboxItem>
						))}
						{chosen.length > 0 && (
							<>
								<Menu.Separator className={popup.separator} />
								<Menu.Item className={popup.item} onClick={() => onChange([])}>
									<span className={popup.text}>Show all</span>
								</Menu.Item>
							</>
						)}
					</Menu.Popup>
				</Menu.Positioner>
			</Menu.Portal>
		</Menu.Root>
	);
}
