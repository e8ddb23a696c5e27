/** A line, or several, to write text in. */
import { Field } from "@base-ui/react/field";
import type { ComponentProps, ReactNode, Ref } from "react";
import { cx } from "./cx";
import styles from "./field.module.css";

type Control = Omit<
	ComponentProps<typeof Field.Control>,
	"className" | "onChange" | "ref" | "value"
>;

export interface TextFieldProps extends Control {
	label: string;
	/** Keeps the label for screen readers only, where the place says the rest. */
	hideLabel?: boolean | undefined;
	value: string;
	onChange(value: string): void;
	/** What helps to fill it in. */
	hint?: ReactNode;
	/** What is wrong with what it holds. */
	error?: string | undefined;
	/** What stands before the text, and after it. */
	icon?: ReactNode;
	end?: ReactNode;
	/** More than 1 makes it a text of several lines. */
	rows?: number | undefined;
	/** For commands, patterns, ids. */
	mono?: boolean | undefined;
	className?: string | undefined;
	ref?: Ref<HTMLElement> | undefined;
}

export function TextField({
	label,
	hideLabel,
	value,
	onChange,
	hint,
	error,
	icon,
	end,
	rows = 1,
	mono,
	className,
	...control
}: TextFieldProps) {
	const many = rows > 1;
	return (
		<Field.Root className={cx(styles.field, className)} invalid={Boolean(error)}>
			<Field.Label className={hideLabel ? "visually-hidden" : styles.label}>{label}</Field.Label>
			<div className={styles.frame} data-invalid={error ? "" : undefined}>
				{icon}
				<Field.Control
					autoComplete="off"
					spellCheck={!mono}
					{...control}
					{...(many ? { render: <textarea rows={rows} /> } : {})}
					className={cx(styles.input, mono && styles.mono, many && styles.area)}
					value={value}
					onValueChange={onChange}
				/>
				{end}
			</div>
			{error ? (
				<Field.Error className={styles.error} match={true}>
					{error}
				</Field.Error>
			) : (
				hint && <Field.Description className={styles.hint}>{hint}</Field.Description>
			)}
		</Field.Root>
	);
}
