/** The selected span, and bringing spans into view: those that are stepped to, and those that are selected from outside. */
import { useCallback, useEffect, useEffectEvent, useRef } from "react";
import type { TraceModel } from "../model/model";
import type { Active } from "./useActive";
import type { FoldingState } from "./useFolding";
import type { TimeWindow } from "./useTimeWindow";

export interface SelectionParts {
	model: TraceModel;
	selected: string | null;
	onSelect(spanId: string | null): void;
	active: Active;
	folding: FoldingState;
	time: TimeWindow;
}

export interface Selection {
	/** The selected span's row, or -1. */
	readonly row: number;
	select(spanId: string | null): void;
	/** Opens what hides a span, scrolls to it in both directions, and makes it the active row. */
	goToRow(row: number): void;
}

export function useSelection(parts: SelectionParts): Selection {
	const { model, selected, onSelect, active, folding, time } = parts;
	const row = model.rowOf(selected);

	const goToRow = (row: number) => {
		folding.revealRow(row);
		active.goToSpan(model.idOf(row));
		time.scrollTo({ from: model.startOf(row), to: model.endOf(row) });
	};

	// What is selected here is in view already. From a link, or from the other half of a page, it may come before its span.
	const seen = useRef<string | null>(null);
	const comesFromOutside = useEffectEvent(() => {
		if (selected === seen.current) return;
		if (selected === null || row >= 0) seen.current = selected;
		if (row >= 0) goToRow(row);
	});
	// biome-ignore lint/correctness/useExhaustiveDependencies: looked at when either changes.
	useEffect(() => comesFromOutside(), [selected, row >= 0]);

	const select = useCallback(
		(spanId: string | null) => {
			seen.current = spanId;
			onSelect(spanId);
		},
		[onSelect],
	);
	return { row, select, goToRow };
}
