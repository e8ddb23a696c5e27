/** Something that is on or off, and one choice of few that all are in sight. */
import { Toggle as Base } from "@base-ui/react/toggle";
import { ToggleGroup } from "@base-ui/react/toggle-group";
import type { ReactNode } from "react";
import { cx } from "./cx";
import styles from "./toggle.module.css";

export interface ToggleProps {
	pressed: boolean;
	onChange(pressed: boolean): void;
	children: ReactNode;
	disabled?: boolean | undefined;
	className?: string | undefined;
}

export function Toggle({ pressed, onChange, children, disabled, className }: ToggleProps) {
	return (
		<Base
			className={cx(styles.toggle, className)}
			pressed={pressed}
			onPressedChange={onChange}
			disabled={disabled ?? false}
		>
			{children}
		</Base>
	);
}

export interface SegmentedProps<Value extends string> {
	label: string;
	value: Value;
	onChange(value: Value): void;
	items: readonly { value: Value; label: ReactNode }[];
	className?: string | undefined;
}

/** One of two to five values, side by side. */
export function Segmented<Value extends string>({
	label,
	value,
	onChange,
	items,
	className,
}: SegmentedProps<Value>) {
	return (
		<ToggleGroup
			className={cx(styles.group, className)}
			aria-label={label}
			value={[value]}
			// Pressing the one that holds would leave none.
			onValueChange={([chosen]) => chosen !== undefined && onChange(chosen)}
		>
			{items.map((item) => (
				<Base key={item.value} className={styles.toggle} value={item.value}>
					{item.label}
				</Base>
			))}
		</ToggleGroup>
	);
}
