/** A todo: the head of what was done for it. */
import type { Todo } from "@hopline/react";
import { memo } from "react";
import { ChevronDownIcon, ChevronRightIcon, cx } from "../../ui";
import { AFTER, BEFORE } from "./items";
import { type Mark, StateMark } from "./StateMark";
import styles from "./todo.module.css";

export interface TodoRowProps {
	index: number;
	todo: Todo | undefined;
	calls: number;
	isBuildActive: boolean;
	isFolded: boolean;
	onFold(index: number, folded: boolean): void;
}

export const TodoRow = memo(function TodoRow(props: TodoRowProps) {
	const { index, todo, calls, isBuildActive, isFolded, onFold } = props;
	const mark = todo && markOf(todo, isBuildActive);
	return (
		<h3 className={cx(styles.todo, mark && styles[mark])}>
			<button
				type="button"
				className={styles.head}
				aria-expanded={!isFolded}
				onClick={() => onFold(index, !isFolded)}
			>
				{isFolded ? <ChevronRightIcon size={14} /> : <ChevronDownIcon size={14} />}
				{mark && <StateMark mark={mark} />}
				<span className={styles.words}>{wordsOf(todo, index, mark)}</span>
				<span className={styles.count}>
					{calls > 0 && `${calls} ${calls === 1 ? "call" : "calls"}`}
				</span>
			</button>
		</h3>
	);
});

function markOf({ status }: Todo, isBuildActive: boolean): Mark {
	if (status === "completed") return "done";
	if (!isBuildActive) return "stopped";
	return status === "in_progress" ? "running" : "pending";
}

function wordsOf(todo: Todo | undefined, index: number, mark: Mark | undefined): string {
	if (todo) return (mark === "running" && todo.activeForm) || todo.content;
	if (index === AFTER) return "After the plan";
	return index === BEFORE ? "Before the plan" : "No longer in the plan";
}
