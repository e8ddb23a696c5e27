/** One of a few values. */
import { Select as Base } from "@base-ui/react/select";
import { buttonClass } from "./Button";
import { cx } from "./cx";
import field from "./field.module.css";
import { CheckIcon, ChevronDownIcon } from "./icons";
import { usePopupHost } from "./PopupHost";
import popup from "./popup.module.css";

export interface SelectItem<Value extends string> {
	value: Value;
	label: string;
	/** What tells it from others of a like name. */
	hint?: string | undefined;
}

export interface SelectProps<Value extends string> {
	label: string;
	/** Keeps the label for screen readers only, where the place says the rest. */
	hideLabel?: boolean | undefined;
	value: Value;
	onChange(value: Value): void;
	items: readonly SelectItem<Value>[];
	disabled?: boolean | undefined;
	className?: string | undefined;
}

export function Select<Value extends string>({
	label,
	hideLabel,
	value,
	onChange,
	items,
	disabled,
	className,
}: SelectProps<Value>) {
	const host = usePopupHost();
	return (
		<div className={cx(field.field, className)}>
			<Base.Root
				items={items}
				value={value}
				disabled={disabled ?? false}
				onValueChange={(chosen) => chosen !== null && onChange(chosen)}
			>
				<Base.Label className={hideLabel ? "visually-hidden" : field.label}>{label}</Base.Label>
				<Base.Trigger className={cx(buttonClass(), popup.trigger)}>
					<Base.Value className={popup.text} />
					<ChevronDownIcon size={14} />
				</Base.Trigger>
				<Base.Portal container={host}>
					<Base.Positioner className={popup.positioner} alignItemWithTrigger={false} sideOffset={4}>
						<Base.Popup className={popup.popup}>
							<Base.List>
								{items.map((item) => (
									<Base.Item key={item.value} className={popup.item} value={item.value}>
										<span className={popup.mark}>
											<Base.ItemIndicator>
												<CheckIcon size={12} />
											</Base.ItemIndicator>
										</span>
										<Base.ItemText className={popup.text}>{item.label}</Base.ItemText>
										{item.hint && <span className={popup.hint}>{item.hint}</span>}
									</Base.Item>
								))}
							</Base.List>
						</Base.Popup>
					</Base.Positioner>
				</Base.Portal>
			</Base.Root>
		</div>
	);
}
