/** The name, and a hop. */
import { Link } from "@tanstack/react-router";
import styles from "./wordmark.module.css";

export function Wordmark() {
	return (
		<Link className={styles.wordmark} to="/" aria-label="Hopline, to the builds">
			<Hop />
			Hopline
		</Link>
	);
}

export function Hop({ size = 20 }: { size?: number }) {
	return (
		<svg
			className={styles.hop}
			width={size}
			height={size}
			viewBox="0 0 20 20"
			fill="none"
			aria-hidden="true"
		>
			<path
				d="M3 14c0-6 4-8 6-3.5S14 14.5 17 5"
				stroke="currentColor"
				strokeWidth="1.8"
				strokeLinecap="round"
			/>
			<circle cx="3" cy="14.5" r="2" fill="currentColor" />
			<circle cx="17" cy="5" r="2" fill="currentColor" />
		</svg>
	);
}
