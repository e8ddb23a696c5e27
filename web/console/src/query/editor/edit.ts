import { flushSync } from "react-dom";

/** Changes a text field as typing would: the cursor comes behind the text, and the browser can undo it. */
export function typeInto(
	field: HTMLTextAreaElement,
	from: number,
	to: number,
	text: string,
	onChange: (value: string) => void,
): void {
	field.focus();
	field.setSelectionRange(from, to);
	// Deprecated, and still the one way to change a field that undo knows of. The field tells of the change itself.
	if (document.execCommand?.("insertText", false, text)) return;
	flushSync(() => onChange(field.value.slice(0, from) + text + field.value.slice(to)));
	field.setSelectionRange(from + text.length, from + text.length);
}
