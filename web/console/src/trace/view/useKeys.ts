/** Reads keys where they are pressed, and runs the command of each. */
import { useEffect, useEffectEvent } from "react";
import { type Command, commandOf } from "../keys";

export interface KeysOptions {
	root: HTMLElement | null;
	rows: HTMLElement | null;
	/** Keys work wherever on the page the focus is, unless something there takes them. */
	wholePage: boolean;
	/** Gives whether there was anything to do. */
	run(command: Command): boolean;
}

export function useKeys({ root, rows, wholePage, run }: KeysOptions): void {
	const onKeyDown = useEffectEvent((event: KeyboardEvent) => {
		const { target } = event;
		if (event.defaultPrevented || !(target instanceof Element) || takesKeys(target)) return;
		const command = commandOf(event, rows?.contains(target) ?? false);
		if (command && run(command)) event.preventDefault();
	});
	useEffect(() => {
		const where = wholePage ? document.documentElement : root;
		if (!where) return;
		const listener = (event: KeyboardEvent) => onKeyDown(event);
		where.addEventListener("keydown", listener);
		return () => where.removeEventListener("keydown", listener);
	}, [root, wholePage]);
}

/** Fields take what is typed; menus and dialogs have keys of their own. */
const TAKES_KEYS =
	"input, textarea, select, [contenteditable], [role=menu], [role=dialog], [role=listbox]";

function takesKeys(target: Element): boolean {
	return target.closest(TAKES_KEYS) !== null;
}
