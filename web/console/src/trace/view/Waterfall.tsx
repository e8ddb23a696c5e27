/**
 * A trace as a waterfall: each span a row of a tree and a bar in time.
 *
 * It keeps for itself what is open, in view and under the keys; which span is selected, and what is searched and filtered
 * for if the page wants to have that in its address, is given from outside.
 */
import {
	type CSSProperties,
	type KeyboardEvent,
	useCallback,
	useEffect,
	useMemo,
	useRef,
	useState,
} from "react";
import { cx } from "../../ui";
import { commandOf } from "../keys";
import { serviceHues } from "../model/colours";
import { criticalPath } from "../model/critical";
import { applyFilter, type Filter, NO_FILTER } from "../model/filter";
import type { TraceModel } from "../model/model";
import { growingEnd } from "../model/window";
import { Axis, Grid } from "./Axis";
import { CriticalNote } from "./CriticalNote";
import { KeyHelp } from "./KeyHelp";
import { Minimap } from "./Minimap";
import { linesShowing, Rows } from "./Rows";
import { Splitter } from "./Splitter";
import { Toolbar } from "./Toolbar";
import { useActive } from "./useActive";
import { useCommands } from "./useCommands";
import { useFind } from "./useFind";
import { useFolding } from "./useFolding";
import { useGestures } from "./useGestures";
import { useNow } from "./useNow";
import { useSize } from "./useSize";
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

export function Waterfall(props: WaterfallProps) {
	const { model, selected, onSelect, highlighted, onHover, compact = false } = props;
	const [ownView, setOwnView] = useState(NO_VIEW);
	const view = props.view ?? ownView;
	const setView = props.onView ?? setOwnView;
	const [critical, setCritical] = useState(false);
	const [helping, setHelping] = useState(false);
	const [names, setNames] = useState(0.36);
	const [root, setRoot] = useState<HTMLElement | null>(null);
	const [scroller, setScroller] = useState<HTMLDivElement | null>(null);
	const searchField = useRef<HTMLElement>(null);

	const hues = useMemo(() => serviceHues(model), [model]);
	const kept = useMemo(() => applyFilter(model, view.filter), [model, view.filter]);
	const path = useMemo(() => (critical ? criticalPath(model) : null), [critical, model]);
	const { shown, setLineOpen, setBelowOpen, setAllOpen, revealRow, hold } = useFolding(model, kept);
	const find = useFind(model, view.query, kept);
	const active = useActive(model, shown);

	const now = useNow(model);
	const total = Math.max(model.now ? growingEnd(now) : now, 1);
	const time = useTimeWindow(total);
	const { width: rowWidth } = useSize(scroller);
	const narrow = rowWidth > 0 && rowWidth < NARROW;
	const nameWidth = narrow ? 0 : Math.round(rowWidth * names);
	const scale = useMemo(
		() => ({ ...time.window, width: rowWidth - nameWidth }),
		[time.window, rowWidth, nameWidth],
	);
	useGestures(scroller, scale, time);
	const rowHeight = narrow ? 44 : compact ? 24 : 28;

	const selectedRow = model.rowOf(selected);
	const goToRow = useCallback(
		(row: number) => {
			revealRow(row);
			active.goToSpan(model.idOf(row));
			time.scrollTo({ from: model.startOf(row), to: model.endOf(row) });
		},
		[revealRow, active.goToSpan, model, time],
	);
	// A span that is selected from outside (by a link, by the other half of a page) is brought into view once it is known.
	const cameFrom = useRef<string | null>(null);
	useEffect(() => {
		if (selected === cameFrom.current) return;
		if (selected !== null && selectedRow < 0) return;
		cameFrom.current = selected;
		if (selectedRow >= 0) goToRow(selectedRow);
	}, [selected, selectedRow, goToRow]);
	const select = useCallback(
		(spanId: string | null) => {
			cameFrom.current = spanId;
			onSelect(spanId);
		},
		[onSelect],
	);

	const run = useCommands({
		model,
		shown,
		active,
		find,
		time,
		selected,
		select,
		goToRow,
		setLineOpen,
		setBelowOpen,
		rowsInView: Math.max(1, Math.floor((scroller?.clientHeight ?? 0) / rowHeight) - 1),
		toggleCritical: () => setCritical((on) => !on),
		search: () => searchField.current?.focus(),
		help: () => setHelping(true),
	});
	useKeys(root, scroller, run, props.pageKeys ?? false);

	const found = useMemo(
		() => (find.found.length > 0 ? linesShowing(model, shown, find.found) : null),
		[find, model, shown],
	);
	const activeRow = shown.run[active.line] ? -1 : (shown.row[active.line] ?? -1);
	const at = find.placeOf(activeRow);
	const onPick = useCallback(
		(line: number) => select(model.idOf(shown.row[line] ?? -1)),
		[select, model, shown],
	);
	const hover = useCallback(
		(row: number) => onHover?.(row < 0 ? null : model.idOf(row)),
		[onHover, model],
	);
	const focusRows = () =>
		scroller
			?.querySelector<HTMLElement>('[role="row"][tabindex="0"]')
			?.focus({ preventScroll: true });
	return (
		<section
			ref={setRoot}
			className={cx(styles.waterfall, narrow && styles.narrow)}
			aria-label="Waterfall"
			style={{ "--names": `${nameWidth}px`, "--bars": `${scale.width}px` } as CSSProperties}
		>
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
				onAllOpen={setAllOpen}
				onLeave={focusRows}
			/>
			{path && <CriticalNote model={model} path={path} />}
			<div className={styles.head}>
				<div className={styles.corner}>
					{kept ? `${kept.count} of ${model.count} spans` : `${model.count} spans`}
				</div>
				<div className={styles.timeline}>
					<Minimap model={model} kept={kept} hues={hues} time={time} />
					<Axis scale={scale} now={model.now && now} onShow={time.show} onShowAll={time.showAll} />
				</div>
				{!narrow && <Splitter share={names} onShare={setNames} within={root} />}
			</div>
			<div className={styles.body}>
				<Grid scale={scale} now={model.now && now} />
				<Rows
					model={model}
					shown={shown}
					kept={kept}
					scale={scale}
					hues={hues}
					path={path}
					now={now}
					rowHeight={rowHeight}
					scroller={scroller}
					setScroller={setScroller}
					active={active.line}
					showActive={active.shows}
					selected={selectedRow}
					lit={highlighted && highlighted.size > 0 ? highlighted : null}
					found={found}
					foundCurrent={at > 0 ? activeRow : -1}
					onActive={active.set}
					onPick={onPick}
					onToggle={(line) => setLineOpen(line, shown.fold[line] !== 1)}
					onHover={hover}
					onHold={hold}
				/>
				{shown.count === 0 && <p className={styles.none}>No span matches these filters.</p>}
			</div>
			<KeyHelp open={helping} onClose={() => setHelping(false)} />
		</section>
	);
}

/** Reads keys where they are pressed, and calls the command of each. */
function useKeys(
	root: HTMLElement | null,
	rows: HTMLElement | null,
	run: ReturnType<typeof useCommands>,
	wholePage: boolean,
): void {
	const latest = useRef(run);
	latest.current = run;
	useEffect(() => {
		const target = wholePage ? document : root;
		if (!target) return;
		const onKeyDown = (event: Event) => {
			const press = event as unknown as KeyboardEvent;
			if (press.defaultPrevented || takesKeys(press.target)) return;
			const inRows = press.target instanceof Node && (rows?.contains(press.target) ?? false);
			const command = commandOf(press, inRows);
			if (command && latest.current(command)) press.preventDefault();
		};
		target.addEventListener("keydown", onKeyDown);
		return () => target.removeEventListener("keydown", onKeyDown);
	}, [root, rows, wholePage]);
}

/** Fields take what is typed; menus and dialogs have keys of their own. */
function takesKeys(target: EventTarget | null): boolean {
	return (
		target instanceof Element &&
		target.closest(
			"input, textarea, select, [contenteditable], [role=menu], [role=dialog], [role=listbox]",
		) !== null
	);
}
