/**
 * A long text of a terminal, read in slices between which the browser can paint and listen: its beginning at once, all of it
 * a moment later.
 */
import { useEffect, useMemo, useState } from "react";
import { AnsiReader, type AnsiText, hasAnsi } from "./ansi";

/** A few milliseconds' work. What is no longer is read at once. */
const SLICE = 128 * 1024;

export interface TerminalText extends AnsiText {
	/** Whether the end of it is still to be read. */
	isGoingOn: boolean;
}

export function useTerminalText(raw: string): TerminalText {
	const beginning = useMemo(() => beginningOf(raw), [raw]);
	const [whole, setWhole] = useState({ raw: "", page: beginning });
	const { isGoingOn } = beginning;

	useEffect(() => {
		if (!isGoingOn) return;
		return readInSlices(raw, (page) => setWhole({ raw, page: { ...page, isGoingOn: false } }));
	}, [raw, isGoingOn]);

	return whole.raw === raw ? whole.page : beginning;
}

function beginningOf(raw: string): TerminalText {
	if (!hasAnsi(raw)) return { text: raw, runs: [], isGoingOn: false };
	const reader = new AnsiReader(raw);
	const isGoingOn = reader.read(SLICE);
	return { ...reader.soFar(), isGoingOn };
}

/** Hands the whole over once it is read; gives what stops it before. */
function readInSlices(raw: string, onRead: (page: AnsiText) => void): () => void {
	const reader = new AnsiReader(raw);
	const next = () => {
		if (reader.read(SLICE)) timer = setTimeout(next);
		else onRead(reader.soFar());
	};
	let timer = setTimeout(next);
	return () => clearTimeout(timer);
}
