/** The hue of a service in the page: for what stands within an element, and as a small square. */
import { cx } from "../ui";
import styles from "./hues.module.css";

/** The class that gives `--hue`, for a hue from 1 to 8. */
export function hueClass(hue: number | undefined): string | undefined {
	return styles[`hue${hue ?? 1}`];
}

export function Swatch({
	hue,
	className,
}: {
	hue?: number | undefined;
	className?: string | undefined;
}) {
	return (
		<span
			className={cx(styles.swatch, hue !== undefined && hueClass(hue), className)}
			aria-hidden="true"
		/>
	);
}
