/** What a build did: its errors first, then its todos, each with its tool calls and texts, as they happen. */
import type { BuildState } from "@hopline/react";
import { useCallback, useEffect, useMemo, useState } from "react";
import { EmptyState, SearchIcon, Spinner, TextField, Toggle } from "../../ui";
import styles from "./activity.module.css";
import { failureOf } from "./call";
import { ErrorSummary } from "./ErrorSummary";
import { failuresOf } from "./failures";
import { type Item, Items } from "./items";
import { List } from "./List";
import { Search } from "./Search";
import { TextRow } from "./TextRow";
import { TodoRow } from "./TodoRow";
import { ToolRow } from "./ToolRow";
import { useOpenCalls } from "./useOpenCalls";

export interface ActivityProps {
	state: BuildState;
	/** The tool call that the address names. */
	selected: string | undefined;
	onSelect(callId: string): void;
	/** The tool call of the span that is pointed at. */
	lit: string | undefined;
	/** A tool call is pointed at, or none any more. */
	onPoint(callId: string | undefined): void;
	/** Whether the trace has spans of a call. */
	isInTrace(callId: string): boolean;
	/** Shows a call's spans. */
	onShow(callId: string): void;
}

export function Activity(props: ActivityProps) {
	const { state, selected, onSelect } = props;
	const { isActive } = state;
	const [words, setWords] = useState("");
	const [folded, setFolded] = useState<ReadonlySet<number>>(new Set());
	const [list] = useState(() => new Items());
	const items = useMemo(() => list.of(state, folded), [list, state, folded]);
	const open = useOpenCalls();
	const [target, setTarget] = useState<{ readonly key: string }>();

	const goTo = useCallback((key: string) => {
		setWords("");
		// What is looked for may be under any todo.
		setFolded(new Set());
		setTarget({ key });
	}, []);
	useEffect(() => {
		if (selected !== undefined) goTo(`call ${selected}`);
	}, [selected, goTo]);
	const onFold = useCallback((index: number, isFolded: boolean) => {
		setFolded((before) => {
			const after = new Set(before);
			if (isFolded) after.add(index);
			else after.delete(index);
			return after;
		});
	}, []);
	const goToCall = (callId: string) => {
		onSelect(callId);
		goTo(`call ${callId}`);
	};

	const row = (item: Item) => {
		switch (item.kind) {
			case "todo": {
				const { index, todo, calls, isFolded } = item;
				return <TodoRow {...{ index, todo, calls, isFolded, onFold }} isBuildActive={isActive} />;
			}
			case "text": {
				const { text, piece, isFirst, isLast } = item;
				return <TextRow {...{ text, piece, isFirst, isLast }} />;
			}
			case "call": {
				const { call } = item;
				const isSelected = call.id === selected;
				return (
					<ToolRow
						sessionId={state.id}
						call={call}
						isBuildActive={isActive}
						isOpen={open.isOpen(call.id, isSelected || failureOf(call) !== undefined)}
						isLit={call.id === props.lit}
						isSelected={isSelected}
						onToggle={open.setOpen}
						onPoint={props.onPoint}
						onShow={props.isInTrace(call.id) ? props.onShow : undefined}
					/>
				);
			}
		}
	};

	return (
		<div className={styles.activity}>
			<h2 className="visually-hidden">Todos and tool calls</h2>
			<div className={styles.bar}>
				<TextField
					className={styles.search}
					label="Search inputs, outputs and texts"
					hideLabel
					placeholder="Search inputs, outputs, texts"
					icon={<SearchIcon size={14} />}
					value={words}
					onChange={setWords}
				/>
				<Toggle pressed={open.areAllOpen} onChange={open.setAllOpen}>
					Open all
				</Toggle>
			</div>
			{words === "" ? (
				<List
					items={items}
					isGrowing={isActive}
					target={target}
					head={<Head state={state} isEmpty={items.length === 0} onGoTo={goToCall} />}
				>
					{row}
				</List>
			) : (
				<Search state={state} words={words} onGoTo={goTo} />
			)}
		</div>
	);
}

interface HeadProps {
	state: BuildState;
	isEmpty: boolean;
	onGoTo(callId: string): void;
}

/** What stands before all todos: what went wrong, or that there is nothing yet. */
function Head({ state, isEmpty, onGoTo }: HeadProps) {
	const failures = failuresOf(state);
	const message = whyFailed(state);
	if (message !== null || failures.length > 0) {
		return <ErrorSummary message={message} failures={failures} onGoTo={onGoTo} />;
	}
	if (!isEmpty) return null;
	if (!state.isActive) return <EmptyState title="This build said nothing" />;
	return (
		<EmptyState icon={<Spinner />} title="Waiting for the first event">
			The runner has been told to begin.
		</EmptyState>
	);
}

/** Why a build failed. That somebody cancelled it is no failure. */
function whyFailed({ status, errorMessage }: BuildState): string | null {
	if (status !== "failed" || errorMessage === "cancelled") return null;
	return errorMessage ?? "It did not say why.";
}
