/**
 * An answer as a table that sorts by any column and scrolls through ten thousand rows: only those in sight are drawn.
 *
 * Its rows are laid out by themselves, which elements of a table cannot be without losing what they mean: roles say it.
 */
// biome-ignore-all lint/a11y/useSemanticElements: see above
// biome-ignore-all lint/a11y/useFocusableInteractive: rows and cells are not acted on; what is in them is

import { useVirtualizer } from "@tanstack/react-virtual";
import { type CSSProperties, memo, useMemo, useRef, useState } from "react";
import { ChevronDownIcon, ChevronUpIcon, cx } from "../ui";
import { type Answer, type Column, isOfNumbers, type Value } from "./answer";
import { isId, linkOfCell } from "./links";
import { TargetLink } from "./TargetLink";
import { nextSorting, type Sorting, sortedRows } from "./table";
import styles from "./table.module.css";
import { formatValue } from "./values";

export type AnswerTableProps = {
	answer: Answer;
	/** What the table is of. */
	label: string;
	sorting?: Sorting | undefined;
	onSort?: ((sorting: Sorting | undefined) => void) | undefined;
};

const ROW_HEIGHT = 28;

/** Rows from which a column's width is taken. */
const SAMPLE = 200;

export function AnswerTable({ answer, label, ...controlled }: AnswerTableProps) {
	const [own, setOwn] = useState<Sorting>();
	const sorting = controlled.onSort ? controlled.sorting : own;
	const sort = controlled.onSort ?? setOwn;
	const order = useMemo(() => sortedRows(answer, sorting), [answer, sorting]);
	const columns = useMemo(() => columnsOf(answer), [answer]);
	const scroller = useRef<HTMLDivElement>(null);
	const rows = useVirtualizer({
		count: order.length,
		getScrollElement: () => scroller.current,
		estimateSize: () => ROW_HEIGHT,
		overscan: 8,
	});
	return (
		// A region that scrolls is to be scrolled by keys as well.
		// biome-ignore lint/a11y/noNoninteractiveTabindex: see above
		<section ref={scroller} className={styles.scroller} aria-label={label} tabIndex={0}>
			<div
				role="table"
				aria-label={label}
				aria-rowcount={order.length + 1}
				style={layoutOf(columns)}
			>
				<div role="rowgroup" className={styles.head}>
					<div role="row" aria-rowindex={1} className={styles.row}>
						{columns.map((column) => (
							<ColumnHead
								key={column.at}
								column={column}
								sorted={sorting?.column === column.at ? sorting : undefined}
								onSort={() => sort(nextSorting(sorting, column.at))}
							/>
						))}
					</div>
				</div>
				<div role="rowgroup" className={styles.body} style={{ height: rows.getTotalSize() }}>
					{rows.getVirtualItems().map((item) => (
						<Row
							key={item.key}
							answer={answer}
							columns={columns}
							row={order[item.index] ?? 0}
							index={item.index}
						/>
					))}
				</div>
			</div>
		</section>
	);
}

type RowProps = {
	answer: Answer;
	columns: TableColumn[];
	/** The row's place in the answer, and in the table. */
	row: number;
	index: number;
};

/** Drawn once, however far the table is scrolled while it is in sight. */
const Row = memo(function Row({ answer, columns, row, index }: RowProps) {
	return (
		<div
			role="row"
			aria-rowindex={index + 2}
			className={styles.row}
			style={{ transform: `translateY(${index * ROW_HEIGHT}px)` }}
		>
			{columns.map((column) => (
				<Cell key={column.at} answer={answer} row={row} column={column} />
			))}
		</div>
	);
});

function ColumnHead({
	column: { name, isNumeric },
	sorted,
	onSort,
}: {
	column: TableColumn;
	sorted: Sorting | undefined;
	onSort(): void;
}) {
	const direction = sorted && (sorted.descending ? "descending" : "ascending");
	return (
		<div
			role="columnheader"
			aria-sort={direction ?? "none"}
			className={cx(styles.columnHead, isNumeric && styles.numeric)}
		>
			<button type="button" className={styles.sort} title={name} onClick={onSort}>
				<bdi className={styles.name}>{name}</bdi>
				{sorted &&
					(sorted.descending ? <ChevronDownIcon size={12} /> : <ChevronUpIcon size={12} />)}
			</button>
		</div>
	);
}

function Cell({ answer, row, column }: { answer: Answer; row: number; column: TableColumn }) {
	const { at, unit, isNumeric } = column;
	const value: Value = answer.rows[row]?.[at] ?? null;
	const text = formatValue(value, unit);
	const target = linkOfCell(answer, row, at);
	const isError = column.name === "status" && value === "error";
	const classes = cx(
		styles.cell,
		isNumeric && styles.numeric,
		value === null && styles.none,
		isError && styles.error,
	);
	return (
		<div role="cell" dir="auto" className={classes} title={text}>
			{target ? <TargetLink target={target}>{text}</TargetLink> : text}
		</div>
	);
}

type TableColumn = Column & {
	at: number;
	isNumeric: boolean;
	/** In letters. */
	width: number;
};

/** In letters: texts are cut beyond it, and ids, which nobody reads to their end, earlier. */
const WIDEST = 36;
const ID_WIDTH = 14;

/** Columns as wide as what is in them, within bounds. */
function columnsOf(answer: Answer): TableColumn[] {
	return answer.columns.map((column, at) => {
		const cells = answer.rows
			.slice(0, SAMPLE)
			.map((row) => formatValue(row[at], column.unit).length);
		const most = isId(column.name) ? ID_WIDTH : WIDEST;
		const longest = Math.min(Math.max(column.name.length + 3, ...cells, 6), most);
		// Most letters are narrower than a digit.
		const width = Math.ceil(longest * 0.93);
		return { ...column, at, isNumeric: isOfNumbers(answer, at), width };
	});
}

/** Each row is a grid of its own: the same widths in all of them come of the columns alone. */
function layoutOf(columns: TableColumn[]): CSSProperties {
	const widths = columns.map(({ width }) => `minmax(calc(${width}ch + 24px), ${width}fr)`);
	const letters = columns.reduce((total, { width }) => total + width, 0);
	return {
		"--columns": widths.join(" "),
		minWidth: `calc(${letters}ch + ${columns.length * 24}px)`,
	} as CSSProperties;
}
