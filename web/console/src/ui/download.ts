/** Lets the browser save a text as a file. */
export function download(name: string, type: string, text: string): void {
	const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
	const link = document.createElement("a");
	link.href = url;
	link.download = name;
	link.click();
	// The browser has taken hold of it by now.
	setTimeout(() => URL.revokeObjectURL(url));
}
