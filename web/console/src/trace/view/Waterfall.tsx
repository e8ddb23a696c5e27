/**
 * A trace as a waterfall: each span a row of a tree and a bar in time.
 *
 * It keeps for itself what is open, in view and under the keys; which span is selected, and what is searched and filtered
 * for if the page wants to have that in its address, is given from outside.
 */
import { type CSSProperties, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useSize } from "../../ui/useSize";
import { serviceHues } from "../model/colours";
import { criticalPath } from "../model/critical";
import { applyFilter, type Filter, NO_FILTER } from "../model/filter";
import type { TraceModel } from "../model/model";
import type { Stretch } from "../model/times";
import { growingEnd } from "../model/window";
import { Grid } from "./Axis";
import { CriticalNote } from "./CriticalNote";
import { Crosshair } from "./Crosshair";
import { Head } from "./Head";
import { KeyHelp } from "./KeyHelp";
import { Rows } from "./Rows";
import { Toolbar } from "./Toolbar";
import { useActive } from "./useActive";
import { useCommands } from "./useCommands";
import { useFind } from "./useFind";
import { useFolding } from "./useFolding";
import { useGestures } from "./useGestures";
import { useKeys } from "./useKeys";
import { useNow } from "./useNow";
import { useSelection } from "./useSelection";
import { useTimeWindow } from "./useTimeWindow";
import styles from "./waterfall.module.css";

/** What is searched for, and what is left out. */
export interface WaterfallView {
	readonly query: string;
	readonly filter: Filter;
}

const NO_VIEW: WaterfallView = { query: "", filter: NO_FILTER };

export interface WaterfallProps {
	model: TraceModel;
	/** Id of the span whose details are shown. */
	selected: string | null;
	onSelect(spanId: string | null): void;
	/** Spans to light up. */
	highlighted?: ReadonlySet<string> | undefined;
	onHover?: ((spanId: string | null) => void) | undefined;
	/** Beside something else: less room, and fewer tools. */
	compact?: boolean | undefined;
	/** Kept by the waterfall itself unless both are given. */
	view?: WaterfallView | undefined;
	onView?: ((view: WaterfallView) => void) | undefined;
	/** Keys work wherever on the page the focus is, unless something there takes them. */
	pageKeys?: boolean | undefined;
}

/** Narrower than this a row has its bar below its name. */
const NARROW = 560;

const ROW_HEIGHT = { narrow: 44, compact: 24, touched: 36, usual: 28 };

export function Waterfall(props: WaterfallProps) {
	const { model, selected, highlighted, onHover, compact = false } = props;
	const [ownView, setOwnView] = useState(NO_VIEW);
	const view = props.view ?? ownView;
	const setView = props.onView ?? setOwnView;
	const [critical, setCritical] = useState(false);
	const [helping, setHelping] = useState(false);
	const [share, setShare] = useState(0.36);
	const [root, setRoot] = useState<HTMLElement | null>(null);
	const [scroller, setScroller] = useState<HTMLDivElement | null>(null);
	const searchField = useRef<HTMLElement>(null);

	const hues = useMemo(() => serviceHues(model), [model]);
	const kept = useMemo(() => applyFilter(model, view.filter), [model, view.filter]);
	const path = useMemo(() => (critical ? criticalPath(model) : null), [critical, model]);
	const folding = useFolding(model, kept);
	const { shown } = folding;
	const find = useFind(model, view.query, kept);
	const active = useActive(model, shown);

	const now = useNow(model);
	const time = useTimeWindow(Math.max(model.now ? growingEnd(now) : now, 1));
	const { narrow, nameWidth, rowHeight, scale } = useLayout(scroller, share, compact, time.window);
	useGestures(scroller, scale, time);

	const selection = useSelection({
		model,
		selected,
		onSelect: props.onSelect,
		active,
		folding,
		time,
	});
	const run = useCommands({
		model,
		active,
		find,
		time,
		selected,
		folding,
		selection,
		rowsInView: Math.max(1, Math.floor((scroller?.clientHeight ?? 0) / rowHeight) - 1),
		toggleCritical: () => setCritical((on) => !on),
		search: () => searchField.current?.focus(),
		help: () => setHelping(true),
	});
	useFocusBack(selected, scroller);
	useKeys({ root, rows: scroller, run, wholePage: props.pageKeys ?? false });

	const activeRow = shown.run[active.line] ? -1 : (shown.row[active.line] ?? -1);
	const at = find.placeOf(activeRow);
	const hover = useCallback(
		(row: number) => onHover?.(row < 0 ? null : model.idOf(row)),
		[onHover, model],
	);
	const widths = { "--names": `${nameWidth}px`, "--bars": `${scale.width}px` } as CSSProperties;
	return (
		<section ref={setRoot} className={styles.waterfall} aria-label="Waterfall" style={widths}>
			<Toolbar
				model={model}
				hues={hues}
				compact={compact}
				query={view.query}
				onQuery={(query) => setView({ ...view, query })}
				filter={view.filter}
				onFilter={(filter) => setView({ ...view, filter })}
				found={find.found.length}
				at={at}
				critical={critical}
				zoomed={time.zoomed}
				searchField={searchField}
				onCommand={run}
				onAllOpen={folding.setAllOpen}
				onLeave={() => focusActiveRow(scroller)}
			/>
			{path && <CriticalNote model={model} path={path} />}
			<Head
				model={model}
				kept={kept}
				hues={hues}
				time={time}
				scale={scale}
				now={model.now && now}
				share={narrow ? null : share}
				onShare={setShare}
				within={root}
			/>
			<div className={styles.body}>
				<Grid scale={scale} now={model.now && now} />
				<Rows
					model={model}
					folding={folding}
					kept={kept}
					scale={scale}
					hues={hues}
					path={path}
					now={now}
					narrow={narrow}
					rowHeight={rowHeight}
					scroller={scroller}
					setScroller={setScroller}
					active={active}
					selection={selection}
					highlighted={highlighted ?? NOTHING}
					find={find}
					onHover={hover}
				/>
				<Crosshair scale={scale} over={scroller} />
				{shown.count === 0 && <p className={styles.none}>No span matches these filters.</p>}
			</div>
			<KeyHelp open={helping} onClose={() => setHelping(false)} />
		</section>
	);
}

const NOTHING: ReadonlySet<string> = new Set();

/** Where names end and bars begin, and how high rows are, in pixels. */
function useLayout(scroller: HTMLElement | null, share: number, compact: boolean, window: Stretch) {
	const { width } = useSize(scroller);
	const touched = useMemo(() => matchMedia("(pointer: coarse)").matches, []);
	const narrow = width > 0 && width < NARROW;
	const nameWidth = narrow ? 0 : Math.round(width * share);
	const scale = useMemo(
		() => ({ ...window, width: width - nameWidth }),
		[window, width, nameWidth],
	);
	const look = narrow ? "narrow" : touched ? "touched" : compact ? "compact" : "usual";
	return { narrow, nameWidth, rowHeight: ROW_HEIGHT[look], scale };
}

/** When details are closed by what was in them, the focus comes back to the rows. */
function useFocusBack(selected: string | null, scroller: HTMLElement | null): void {
	const before = useRef(selected);
	useEffect(() => {
		const closed = before.current !== null && selected === null;
		before.current = selected;
		if (closed && document.activeElement === document.body) focusActiveRow(scroller);
	}, [selected, scroller]);
}

function focusActiveRow(scroller: HTMLElement | null): void {
	const row = scroller?.querySelector<HTMLElement>('[role="row"][tabindex="0"]');
	row?.focus({ preventScroll: true });
}
