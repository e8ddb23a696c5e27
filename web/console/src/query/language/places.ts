/** The server tells places in bytes of UTF-8; a text of JavaScript is counted in units of UTF-16. */

/** The place in a text that so many bytes of it lie before. */
export function placeOfByte(text: string, bytes: number): number {
	let at = 0;
	let passed = 0;
	for (const letter of text) {
		if (passed >= bytes) break;
		passed += bytesOf(letter.codePointAt(0) ?? 0);
		at += letter.length;
	}
	return at;
}

function bytesOf(point: number): number {
	if (point < 0x80) return 1;
	if (point < 0x800) return 2;
	return point < 0x10000 ? 3 : 4;
}
