/** A search over the whole build, its folded todos too. */
import type { BuildState } from "@hopline/react";
import { useDeferredValue, useMemo } from "react";
import { useEverySecond } from "../useEverySecond";
import { find } from "./find";
import { Items } from "./items";
import { Results } from "./Results";

const NOTHING_FOLDED: ReadonlySet<number> = new Set();

export interface SearchProps {
	state: BuildState;
	words: string;
	/** Leads to an item by its key. */
	onGoTo(key: string): void;
}

export function Search({ state, words, onGoTo }: SearchProps) {
	const wanted = useDeferredValue(words);
	// A build of some MiB is not searched anew with every word that streams in.
	const searched = useEverySecond(state);
	const found = useMemo(
		() => find(new Items().of(searched, NOTHING_FOLDED), wanted),
		[searched, wanted],
	);
	return <Results found={found} onGoTo={onGoTo} />;
}
