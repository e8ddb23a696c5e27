/** One line of the waterfall. Clicks and keys are the grid's; a row only shows. */
import { type ComponentProps, memo } from "react";
import { cx } from "../../ui/cx";
import { formatCount, formatDuration } from "../../ui/format";
import { AlertIcon, LinkIcon } from "../../ui/icons";
import { hueClass, Swatch } from "../hues";
import type { CriticalPath } from "../model/critical";
import type { Kept } from "../model/filter";
import type { TraceModel } from "../model/model";
import { Flag } from "../model/outline";
import { Fold, type ShownRows } from "../model/rows";
import { handOver } from "../model/times";
import { Bar, RunBar } from "./Bar";
import {
	criticalIn,
	endSoFar,
	gapsSoFar,
	hiddenBelow,
	runBoxes,
	runTotals,
	spokenRun,
	spokenTime,
} from "./lines";
import { Count, FoundBelow, Mark, Marks } from "./marks";
import styles from "./row.module.css";
import type { Scale } from "./scale";

/** Deeper than this rows are not indented any further: names would have no room. */
const DEEPEST_INDENT = 18;

/** How a row stands out. */
export interface RowLook {
	readonly selected: boolean;
	/** It takes the focus when that comes to the rows. */
	readonly active: boolean;
	/** The reader is at it. */
	readonly at: boolean;
	readonly lit: boolean;
	/** It answers the search; "current" is the one stepped to. */
	readonly found: "no" | "yes" | "current";
	/** How many that answer it stand below it, hidden. */
	readonly foundBelow: number;
	/** Only there for those below it, or off the critical path. */
	readonly faint: boolean;
}

export interface RowProps extends RowLook {
	model: TraceModel;
	shown: ShownRows;
	line: number;
	kept: Kept | null;
	scale: Scale;
	hues: Uint8Array;
	path: CriticalPath | null;
	/** 0 for rows that do not move with the time. */
	now: number;
	/** The bar stands below the name. */
	narrow: boolean;
	top: number;
	height: number;
}

export const Row = memo(function Row(props: RowProps) {
	const { model, shown, line, hues, top, height } = props;
	const row = shown.row[line] as number;
	const run = shown.run[line] as number;
	const fold = shown.fold[line] as number;
	const hue = hues[model.service[row] as number] ?? 1;
	return (
		// biome-ignore lint/a11y/useSemanticElements: rows of a grid that is drawn in part cannot be those of a table.
		<div
			role="row"
			className={cx(styles.row, hueClass(hue))}
			style={{ transform: `translateY(${top}px)`, height }}
			tabIndex={props.active ? 0 : -1}
			aria-level={(shown.level[line] as number) + 1}
			aria-rowindex={line + 1}
			aria-expanded={fold === Fold.leaf ? undefined : fold === Fold.open}
			aria-selected={props.selected}
			data-line={line}
			data-narrow={props.narrow || undefined}
			data-at={props.at || undefined}
			data-lit={props.lit || undefined}
			data-found={props.found === "no" ? undefined : props.found}
			data-faint={props.faint || undefined}
			data-error={(run === 0 && model.isError(row)) || undefined}
		>
			{run > 0 ? <RunCells {...props} /> : <SpanCells {...props} />}
		</div>
	);
});

function SpanCells(props: RowProps) {
	const { model, shown, line, kept, scale, path, now } = props;
	const row = shown.row[line] as number;
	const closed = shown.fold[line] === Fold.closed;
	const isLinked = (shown.under[line] as number) >= 0;
	const errorsBelow = (model.errors[row] ?? 0) - (model.isError(row) ? 1 : 0);
	return (
		<>
			<Cell className={styles.name}>
				<Branch shown={shown} line={line} />
				<bdi className={styles.text} title={model.labelOf(row)}>
					{model.labelOf(row)}
				</bdi>
				{closed && <Count>{`+${formatCount(hiddenBelow(model, row, kept))}`}</Count>}
				{(model.isError(row) || model.recordsError(row)) && (
					<Mark says="Error" className={styles.error} icon={<AlertIcon size={14} />} />
				)}
				{closed && errorsBelow > 0 && (
					<Count
						tone={styles.error}
						says={`${errorsBelow} errors below`}
					>{`${formatCount(errorsBelow)} ✕`}</Count>
				)}
				<FoundBelow count={props.foundBelow} />
				{isLinked ? (
					<Mark says="Shared with others" className={styles.muted} icon={<LinkIcon size={12} />} />
				) : (
					<Marks model={model} row={row} />
				)}
			</Cell>
			<Cell className={styles.time} aria-label={spokenTime(model, row, now)}>
				<Bar
					scale={scale}
					from={model.startOf(row)}
					to={endSoFar(model, row, now)}
					pending={model.has(row, Flag.pending)}
					reach={closed ? (model.times.reach[row] ?? 0) : 0}
					gaps={gapsSoFar(model, row, now)}
					handOver={isLinked ? null : handOver(row, model.times, model.tree)}
					critical={criticalIn(model, shown, line, path)}
				/>
			</Cell>
		</>
	);
}

function RunCells({ model, shown, line, kept, scale, path, foundBelow }: RowProps) {
	const row = shown.row[line] as number;
	const run = shown.run[line] as number;
	const { duration, errors } = runTotals(model, shown, line, kept);
	return (
		<>
			<Cell className={styles.name}>
				<Branch shown={shown} line={line} />
				<bdi className={styles.text} title={model.labelOf(row)}>
					{model.labelOf(row)}
				</bdi>
				<Count tone={styles.times}>{`× ${formatCount(run)}`}</Count>
				{errors > 0 && (
					<Count tone={styles.error} says={`${errors} errors`}>{`${formatCount(errors)} ✕`}</Count>
				)}
				<FoundBelow count={foundBelow} />
			</Cell>
			<Cell className={styles.time} aria-label={spokenRun(run, duration)}>
				<RunBar
					scale={scale}
					members={runBoxes(model, shown, line, kept, scale)}
					errors={errors > 0 ? runBoxes(model, shown, line, kept, scale, true) : []}
					critical={criticalIn(model, shown, line, path)}
					label={`${formatDuration(duration)} in all`}
				/>
			</Cell>
		</>
	);
}

function Cell(props: ComponentProps<"div">) {
	// biome-ignore lint/a11y/useSemanticElements: rows of a grid that is drawn in part are no table's, and so are their cells.
	// biome-ignore lint/a11y/useFocusableInteractive: the focus moves by rows.
	return <div role="gridcell" {...props} />;
}

/** The indent with its guides, and the sign that opens what is below. */
function Branch({ shown, line }: { shown: ShownRows; line: number }) {
	const level = shown.level[line] as number;
	const fold = shown.fold[line] as number;
	return (
		<>
			<span
				className={styles.indent}
				style={{ width: Math.min(level, DEEPEST_INDENT) * 12 }}
				aria-hidden="true"
			/>
			{level > DEEPEST_INDENT && <Count says={`depth ${level}`}>{String(level)}</Count>}
			<span className={styles.fold} data-fold={fold} data-toggle="" aria-hidden="true" />
			<Swatch className={cx(shown.run[line] !== 0 && styles.stack)} />
		</>
	);
}
