/** Between names and bars: drag it, or move it by the arrow keys. */
import type { KeyboardEvent, PointerEvent } from "react";
import styles from "./head.module.css";

export interface SplitterProps {
	/** The names' share of the width. */
	share: number;
	onShare(share: number): void;
	within: HTMLElement | null;
}

const LEAST = 0.12;
const MOST = 0.75;
const STEP = 0.02;

export function Splitter({ share, onShare, within }: SplitterProps) {
	const set = (next: number) => onShare(Math.min(Math.max(next, LEAST), MOST));
	const move = (event: PointerEvent) => {
		if (!within || !event.currentTarget.hasPointerCapture(event.pointerId)) return;
		const { left, width } = within.getBoundingClientRect();
		set((event.clientX - left) / width);
	};
	const onKeyDown = (event: KeyboardEvent) => {
		if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
		event.preventDefault();
		event.stopPropagation();
		set(share + (event.key === "ArrowLeft" ? -STEP : STEP));
	};
	return (
		// biome-ignore lint/a11y/useSemanticElements: a rule that can be moved is a widget.
		<div
			role="separator"
			aria-orientation="vertical"
			aria-label="Width of the names"
			aria-valuenow={Math.round(share * 100)}
			aria-valuemin={LEAST * 100}
			aria-valuemax={MOST * 100}
			tabIndex={0}
			className={styles.splitter}
			onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
			onPointerMove={move}
			onKeyDown={onKeyDown}
		/>
	);
}
