/** Several views of one thing, one at a time. */
import { Tabs as Base } from "@base-ui/react/tabs";
import type { ReactNode } from "react";
import { cx } from "./cx";
import { formatCount } from "./format";
import styles from "./tabs.module.css";

export interface TabItem<Value extends string> {
	value: Value;
	label: ReactNode;
	count?: number | undefined;
}

export interface TabsProps<Value extends string> {
	/** What the tabs are views of. */
	label: string;
	value: Value;
	onChange(value: Value): void;
	items: readonly TabItem<Value>[];
	/** A TabPanel for each. */
	children: ReactNode;
	className?: string | undefined;
}

export function Tabs<Value extends string>({
	label,
	value,
	onChange,
	items,
	children,
	className,
}: TabsProps<Value>) {
	return (
		<Base.Root
			className={className}
			value={value}
			onValueChange={(value: Value) => onChange(value)}
		>
			<Base.List className={styles.list} aria-label={label} activateOnFocus>
				{items.map((item) => (
					<Base.Tab key={item.value} className={styles.tab} value={item.value}>
						{item.label}
						{item.count !== undefined && (
							<span className={styles.count}>{formatCount(item.count)}</span>
						)}
					</Base.Tab>
				))}
				<Base.Indicator className={styles.indicator} />
			</Base.List>
			{children}
		</Base.Root>
	);
}

export interface TabPanelProps {
	value: string;
	children: ReactNode;
	className?: string | undefined;
}

export function TabPanel({ value, children, className }: TabPanelProps) {
	return (
		<Base.Panel className={cx(styles.panel, className)} value={value}>
			{children}
		</Base.Panel>
	);
}
