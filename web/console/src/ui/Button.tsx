/** Buttons: with words, and with an icon alone. */
import { Button as Base } from "@base-ui/react/button";
import type { ComponentProps, ReactElement, ReactNode, Ref } from "react";
import styles from "./button.module.css";
import { cx } from "./cx";
import { Spinner } from "./Spinner";
import { Tooltip } from "./Tooltip";

export type ButtonVariant = "secondary" | "primary" | "danger" | "ghost";

export interface ButtonLook {
	variant?: ButtonVariant | undefined;
	size?: "medium" | "small" | undefined;
}

/** The classes of a button, for a link that looks like one. */
export function buttonClass({ variant = "secondary", size = "medium" }: ButtonLook = {}): string {
	return cx(styles.button, styles[variant], size === "small" && styles.small);
}

type BaseProps = Omit<ComponentProps<typeof Base>, "className" | "ref"> & {
	className?: string | undefined;
	ref?: Ref<HTMLElement> | undefined;
};

export interface ButtonProps extends BaseProps, ButtonLook {
	/** Shows that what it asked for is under way, and takes no second press meanwhile. */
	busy?: boolean | undefined;
	icon?: ReactNode;
}

export function Button({
	variant,
	size,
	busy,
	icon,
	disabled,
	className,
	children,
	...rest
}: ButtonProps) {
	return (
		<Base
			{...rest}
			className={cx(buttonClass({ variant, size }), className)}
			disabled={disabled || busy}
			focusableWhenDisabled={busy ?? false}
			aria-busy={busy || undefined}
		>
			{busy ? <Spinner /> : icon}
			{children}
		</Base>
	);
}

export interface IconButtonProps extends Omit<BaseProps, "aria-label" | "children">, ButtonLook {
	/** What it does: its name to screen readers, and its tooltip. */
	label: string;
	icon: ReactElement;
	/** Whether it is on, for one that switches something. */
	pressed?: boolean | undefined;
	/** Says nothing beside itself, where its icon says all and a tooltip would be in the way. */
	plain?: boolean | undefined;
}

export function IconButton({
	label,
	icon,
	pressed,
	plain,
	variant = "ghost",
	size,
	className,
	...rest
}: IconButtonProps) {
	const button = (
		<Base
			{...rest}
			className={cx(buttonClass({ variant, size }), styles.icon, className)}
			aria-label={label}
			aria-pressed={pressed}
			data-pressed={pressed ? "" : undefined}
		>
			{icon}
		</Base>
	);
	return plain ? button : <Tooltip label={label}>{button}</Tooltip>;
}
