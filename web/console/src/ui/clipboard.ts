/** Writing to the clipboard, also where the browser offers no API for it: on plain HTTP that is not this machine. */

/** Whether the text is on the clipboard now. */
export async function writeClipboard(text: string): Promise<boolean> {
	if (navigator.clipboard) {
		try {
			await navigator.clipboard.writeText(text);
			return true;
		} catch {
			// Not allowed: the old way needs no permission.
		}
	}
	return copyBySelection(text);
}

function copyBySelection(text: string): boolean {
	const focused = document.activeElement;
	const area = document.createElement("textarea");
	area.value = text;
	area.readOnly = true;
	area.className = "visually-hidden";
	// Within an open dialog, which would else take the focus back.
	(focused?.closest("[role=dialog], [role=alertdialog]") ?? document.body).append(area);
	area.select();
	const copied = document.execCommand("copy");
	area.remove();
	if (focused instanceof HTMLElement) focused.focus();
	return copied;
}
