/** The build from top to bottom. Only what is in sight is in the page, so that a long build costs no more than a short one. */
import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useEffect, useState } from "react";
import { Button, ChevronDownIcon } from "../../ui";
import type { Item } from "./items";
import styles from "./list.module.css";
import { useFollow } from "./useFollow";

const HEIGHTS = { todo: 37, call: 33, text: 80 };

export interface ListProps {
	items: readonly Item[];
	/** Stands before all items, if there is something to say. */
	head: ReactNode;
	/** Whether more is to come. */
	isGrowing: boolean;
	/** Where to go; a new object goes there again. */
	target: { readonly key: string } | undefined;
	children(item: Item): ReactNode;
}

export function List({ items, head, isGrowing, target, children }: ListProps) {
	const [scroller, setScroller] = useState<HTMLElement | null>(null);
	const first = head ? 1 : 0;
	const itemAt = (row: number) => items[row - first];
	const rows = useVirtualizer({
		count: items.length + first,
		getScrollElement: () => scroller,
		getItemKey: (row) => itemAt(row)?.key ?? "head",
		estimateSize: (row) => HEIGHTS[itemAt(row)?.kind ?? "text"],
		overscan: 10,
	});
	const height = rows.getTotalSize();
	const { isFollowing, toEnd, stay } = useFollow(scroller, height, isGrowing && !target);

	// As soon as it is known where that is; then not again while the build grows.
	const [reached, setReached] = useState<ListProps["target"]>();
	const at = target && target !== reached ? items.findIndex(({ key }) => key === target.key) : -1;
	useEffect(() => {
		if (!scroller || at < 0) return;
		stay();
		rows.scrollToIndex(at + first, { align: "center" });
		setReached(target);
	}, [scroller, at, first, rows, stay, target]);

	return (
		<div className={styles.frame}>
			<section
				ref={setScroller}
				className={styles.scroller}
				aria-label="Todos and tool calls"
				// biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable without a pointer.
				tabIndex={0}
				// What the reader is about to read, select or press must not move away.
				onPointerDown={stay}
				onFocus={({ target, currentTarget }) => {
					if (target !== currentTarget && target.matches(":focus-visible")) stay();
				}}
			>
				<div className={styles.sheet} style={{ height }}>
					{rows.getVirtualItems().map((row) => {
						const item = itemAt(row.index);
						return (
							<div
								key={row.key}
								ref={rows.measureElement}
								data-index={row.index}
								className={styles.row}
								style={{ transform: `translateY(${row.start}px)` }}
							>
								{item ? children(item) : head}
							</div>
						);
					})}
				</div>
			</section>
			{isGrowing && !isFollowing && (
				<Button className={styles.latest} icon={<ChevronDownIcon />} onClick={toEnd}>
					Follow the end
				</Button>
			)}
		</div>
	);
}
