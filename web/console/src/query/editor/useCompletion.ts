/**
 * Completion in a text field: what is offered at the cursor, which of it is chosen, and what keys do.
 *
 * It opens as one types, where something can be typed, and on Ctrl+Space. What one is in the middle of typing has its first
 * offer chosen, which Enter or Tab takes; where nothing is typed yet nothing is chosen, so that Enter still asks the question.
 */

import { useQuery } from "@tanstack/react-query";
import { type KeyboardEvent, type RefObject, useMemo, useState } from "react";
import { fieldsQuery, valuesQuery } from "../asking/known";
import { type Context, contextAt } from "../language/context";
import { type Option, optionsFor } from "../language/options";
import { typeInto } from "./edit";

/** Where completion was opened, and what is chosen: nothing until a key says so. */
type Opened = { cursor: number; asked: boolean; chosen: number | undefined };

export type Completion = {
	/** Empty while nothing is offered. */
	options: Option[];
	/** The chosen one's place, or -1. */
	chosen: number;
	/** Where in the text the choice would be put. */
	from: number;
	take(option: Option): void;
	open(asked: boolean): void;
	close(): void;
	/** Whether a key was meant for completion, and has been dealt with. */
	handleKey(event: KeyboardEvent): boolean;
	/** Closes it when the cursor was moved away. */
	cursorMoved(): void;
};

export type CompletionOptions = {
	text: string;
	onChange(text: string): void;
	isEnabled: boolean;
};

export function useCompletion(
	field: RefObject<HTMLTextAreaElement | null>,
	{ text, onChange, isEnabled }: CompletionOptions,
): Completion {
	const [opened, setOpened] = useState<Opened>();
	const context = useMemo(
		() => (isEnabled && opened ? contextAt(text, Math.min(opened.cursor, text.length)) : undefined),
		[text, isEnabled, opened],
	);
	const isWanted = context !== undefined && isPlace(context, text, opened?.asked ?? false);
	const { expected } = context ?? {};
	const fields = useQuery({ ...fieldsQuery(), enabled: isEnabled && isWanted });
	const ofField = isWanted && expected?.kind === "value" ? expected.field : "";
	const values = useQuery(valuesQuery(ofField));
	const options = useMemo(() => {
		if (!context || !isWanted) return [];
		const seen = { fields: fields.data ?? [], values: values.data ?? [] };
		return optionsFor(context, seen, text.slice(context.to));
	}, [context, isWanted, fields.data, values.data, text]);

	const byDefault = context && context.typed !== "" ? 0 : -1;
	const chosen = Math.min(opened?.chosen ?? byDefault, options.length - 1);
	const close = () => setOpened(undefined);
	const open = (asked: boolean) =>
		setOpened({ cursor: field.current?.selectionEnd ?? 0, asked, chosen: undefined });
	const choose = (place: number) => setOpened((now) => now && { ...now, chosen: place });

	const take = (option: Option) => {
		if (!field.current || !context) return;
		typeInto(field.current, context.from, context.to, option.insert, onChange);
		if (option.goesOn) open(true);
		else close();
	};

	const handleKey = (event: KeyboardEvent): boolean => {
		if (!isEnabled || event.nativeEvent.isComposing) return false;
		if (event.key === " " && event.ctrlKey) open(true);
		else if (options.length === 0) return false;
		else if (event.key === "Escape") close();
		else if (event.key === "ArrowDown") choose((chosen + 1) % options.length);
		else if (event.key === "ArrowUp") choose(chosen <= 0 ? options.length - 1 : chosen - 1);
		else {
			const option = options[chosen];
			const takes = event.key === "Tab" || (event.key === "Enter" && !hasModifier(event));
			if (!takes || !option || event.shiftKey) return false;
			take(option);
		}
		event.preventDefault();
		event.stopPropagation();
		return true;
	};

	return {
		options,
		chosen,
		from: context?.from ?? 0,
		take,
		open,
		close,
		handleKey,
		cursorMoved: () => {
			if (opened && field.current?.selectionEnd !== opened.cursor) close();
		},
	};
}

const hasModifier = (event: KeyboardEvent) => event.ctrlKey || event.metaKey || event.shiftKey;

/** Whether something is offered here unasked: right behind a word or a parenthesis another word is not expected yet. */
function isPlace({ expected, typed, from }: Context, text: string, asked: boolean): boolean {
	if (expected.kind === "nothing") return false;
	const isOpen = expected.kind === "field" || expected.kind === "value" || expected.kind === "what";
	return asked || typed !== "" || isOpen || /\s/.test(text[from - 1] ?? " ");
}
