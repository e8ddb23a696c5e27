/** Above the waterfall: search, filters, what is drawn, zoom. */
import { type KeyboardEvent, type RefObject, useMemo } from "react";
import {
	ChevronDownIcon,
	ChevronUpIcon,
	CloseIcon,
	cx,
	formatCount,
	IconButton,
	Kbd,
	MinusIcon,
	PlusIcon,
	SearchIcon,
	TextField,
	Toggle,
} from "../../ui";
import { Swatch } from "../hues";
import type { Command } from "../keys";
import type { Filter } from "../model/filter";
import type { TraceModel } from "../model/model";
import { type FilterChoice, FilterMenu } from "./FilterMenu";
import { CloseAllIcon, FitIcon, KeysIcon, OpenAllIcon, PathIcon } from "./icons";
import styles from "./toolbar.module.css";

export interface ToolbarProps {
	model: TraceModel;
	hues: Uint8Array;
	compact: boolean;
	query: string;
	onQuery(query: string): void;
	filter: Filter;
	onFilter(filter: Filter): void;
	/** How many spans the search found, and which of them the reader is at, from 1. */
	found: number;
	at: number;
	critical: boolean;
	zoomed: boolean;
	searchField: RefObject<HTMLElement | null>;
	onCommand(command: Command): void;
	onAllOpen(open: boolean): void;
	/** Back to the rows. */
	onLeave(): void;
}

export function Toolbar(props: ToolbarProps) {
	const { model, hues, compact, filter, onFilter, onCommand, onAllOpen } = props;
	const services = useMemo(() => choices(model.services, model.service, hues), [model, hues]);
	const ops = useMemo(() => choices(model.ops, model.op), [model]);
	return (
		<div className={styles.toolbar} role="toolbar" aria-label="Waterfall">
			<Search {...props} />
			<div className={styles.tools}>
				<div className={styles.group}>
					{!compact && services.length > 1 && (
						<FilterMenu
							label="Service"
							choices={services}
							chosen={filter.services}
							onChange={(services) => onFilter({ ...filter, services })}
						/>
					)}
					{!compact && ops.length > 1 && (
						<FilterMenu
							label="Op"
							choices={ops}
							chosen={filter.ops}
							onChange={(ops) => onFilter({ ...filter, ops })}
						/>
					)}
					<Toggle
						pressed={filter.errors}
						onChange={(errors) => onFilter({ ...filter, errors })}
						disabled={model.errorCount === 0 && !filter.errors}
					>
						Errors
						<span className={cx(styles.number, model.errorCount > 0 && styles.bad)}>
							{formatCount(model.errorCount)}
						</span>
					</Toggle>
				</div>
				<div className={styles.group}>
					<IconButton
						label="Critical path"
						icon={<PathIcon />}
						pressed={props.critical}
						onClick={() => onCommand("critical")}
					/>
					<IconButton label="Open all" icon={<OpenAllIcon />} onClick={() => onAllOpen(true)} />
					<IconButton label="Close all" icon={<CloseAllIcon />} onClick={() => onAllOpen(false)} />
				</div>
				<div className={styles.group}>
					<IconButton
						label="Zoom out"
						icon={<MinusIcon />}
						disabled={!props.zoomed}
						onClick={() => onCommand("zoomOut")}
					/>
					<IconButton
						label="Show all"
						icon={<FitIcon />}
						disabled={!props.zoomed}
						onClick={() => onCommand("zoomAll")}
					/>
					<IconButton label="Zoom in" icon={<PlusIcon />} onClick={() => onCommand("zoomIn")} />
					<IconButton
						label="Keys"
						icon={<KeysIcon />}
						className={styles.keys}
						onClick={() => onCommand("help")}
					/>
				</div>
			</div>
		</div>
	);
}

function Search({ query, onQuery, found, at, searchField, onCommand, onLeave }: ToolbarProps) {
	const onKeyDown = (event: KeyboardEvent) => {
		if (event.key === "Enter") {
			event.preventDefault();
			onCommand(event.shiftKey ? "previous" : "next");
		} else if (event.key === "Escape") {
			if (query === "") onLeave();
			else onQuery("");
		} else if (event.key === "ArrowDown") {
			event.preventDefault();
			onLeave();
		} else return;
		event.stopPropagation();
	};
	return (
		<div className={styles.search}>
			<TextField
				ref={searchField}
				label="Search spans"
				hideLabel
				placeholder="Name, op, service or id"
				value={query}
				onChange={onQuery}
				onKeyDown={onKeyDown}
				icon={<SearchIcon size={14} />}
				end={
					query === "" ? (
						<span className={styles.hint} aria-hidden="true">
							<Kbd>/</Kbd>
						</span>
					) : (
						<IconButton
							label="Clear"
							size="small"
							icon={<CloseIcon size={12} />}
							onClick={() => onQuery("")}
						/>
					)
				}
			/>
			{query !== "" && (
				<>
					<output className={styles.found}>
						{found === 0
							? "None"
							: at > 0
								? `${formatCount(at)} of ${formatCount(found)}`
								: formatCount(found)}
						<span className="visually-hidden"> found</span>
					</output>
					<IconButton
						label="Previous match"
						size="small"
						icon={<ChevronUpIcon />}
						disabled={found === 0}
						onClick={() => onCommand("previous")}
					/>
					<IconButton
						label="Next match"
						size="small"
						icon={<ChevronDownIcon />}
						disabled={found === 0}
						onClick={() => onCommand("next")}
					/>
				</>
			)}
		</div>
	);
}

function choices(words: readonly string[], of: Int32Array, hues?: Uint8Array): FilterChoice[] {
	const counts = new Int32Array(words.length);
	for (const word of of) counts[word] = (counts[word] as number) + 1;
	return words
		.map((value, at) => ({
			value,
			count: counts[at] as number,
			sign: hues && <Swatch hue={hues[at]} />,
		}))
		.sort((a, b) => b.count - a.count);
}
