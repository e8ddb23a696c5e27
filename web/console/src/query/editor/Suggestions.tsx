/**
 * The list of what completion offers, under the word that it is for.
 *
 * It shows ten at a time and moves with what is chosen: a list that scrolled by itself could not be reached by keys, which
 * are the field's.
 */

import { type RefObject, useLayoutEffect, useRef, useState } from "react";
import { cx } from "../../ui";
import styles from "./editor.module.css";
import type { Completion } from "./useCompletion";

export function Suggestions({
	id,
	completion,
	layer,
}: {
	id: string;
	completion: Completion;
	layer: RefObject<HTMLElement | null>;
}) {
	const { options, chosen, from } = completion;
	const list = useRef<HTMLDivElement>(null);
	const place = usePlace(layer, list, from);

	const first = useFirst(chosen, options.length);
	const shown = options.slice(first, first + SHOWN);
	const left = options.length - shown.length;

	return (
		<div
			ref={list}
			id={id}
			className={styles.list}
			role="listbox"
			aria-label="Suggestions"
			style={{ translate: `${place.x}px ${place.y}px` }}
		>
			{shown.map((option, place) => (
				// The field keeps the focus and has the keys; the mouse alone comes here.
				// biome-ignore lint/a11y/useKeyWithClickEvents: see above
				// biome-ignore lint/a11y/useFocusableInteractive: see above
				<div
					key={`${option.kind} ${option.label}`}
					id={`${id}-${first + place}`}
					role="option"
					aria-selected={first + place === chosen}
					aria-posinset={first + place + 1}
					aria-setsize={options.length}
					className={styles.option}
					onMouseDown={(event) => event.preventDefault()}
					onClick={() => completion.take(option)}
				>
					<bdi className={cx(styles.label, styles[option.kind])}>{option.label}</bdi>
					{option.about && <span className={styles.about}>{option.about}</span>}
				</div>
			))}
			{left > 0 && (
				<div className={styles.left} aria-hidden="true">
					{left} more: type on, or press the arrow keys
				</div>
			)}
		</div>
	);
}

/** How many are shown at a time. */
const SHOWN = 10;

/** The first of those that are shown: as it was, as long as the chosen one is among them. */
function useFirst(chosen: number, count: number): number {
	const [before, setBefore] = useState(0);
	const most = Math.max(0, count - SHOWN);
	const lowest = Math.max(0, chosen - SHOWN + 1);
	const highest = Math.max(0, chosen);
	const first = Math.min(most, Math.max(lowest, Math.min(highest, before)));
	if (first !== before) setBefore(first);
	return first;
}

/** Under a letter of the text, as far to the right as there is room. */
function usePlace(
	layer: RefObject<HTMLElement | null>,
	list: RefObject<HTMLElement | null>,
	from: number,
): { x: number; y: number } {
	const [place, setPlace] = useState({ x: 0, y: 0 });
	useLayoutEffect(() => {
		if (!layer.current || !list.current) return;
		const frame = list.current.offsetParent?.getBoundingClientRect() ?? new DOMRect();
		const letter = letterAt(layer.current, from).getBoundingClientRect();
		const room = Math.max(0, frame.width - list.current.offsetWidth);
		setPlace({ x: Math.min(letter.left - frame.left, room), y: letter.bottom - frame.top + 4 });
	}, [layer, list, from]);
	return place;
}

/** The place before a letter of a text that lies in several elements. */
function letterAt(element: HTMLElement, at: number): Range {
	const range = document.createRange();
	range.selectNodeContents(element);
	const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
	let left = at;
	for (let node = texts.nextNode(); node; node = texts.nextNode()) {
		const length = node.textContent?.length ?? 0;
		if (left < length) {
			range.setStart(node, left);
			range.setEnd(node, left + 1);
			return range;
		}
		left -= length;
	}
	return range;
}
