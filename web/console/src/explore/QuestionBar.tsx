/** Where a question is written, asked and given up: the field, its language and its time. */

import { useId } from "react";
import { Editor } from "../query/editor/Editor";
import { MistakeNote } from "../query/editor/MistakeNote";
import { type TimeRange, timeOf, withTime } from "../query/language/clauses";
import { parse } from "../query/language/parse";
import { TimeRangePicker } from "../query/time/TimeRangePicker";
import { Button, Kbd, PlayIcon, Segmented, StopIcon } from "../ui";
import styles from "./explore.module.css";
import type { Explore } from "./useExplore";

const LANGUAGES = [
	{ value: "query", label: "Question" },
	{ value: "sql", label: "SQL" },
] as const;

export function QuestionBar({ explore }: { explore: Explore }) {
	const { draft, setDraft, language, setLanguage, run, cancel, isRunning, mistake } = explore;
	const mistakeId = useId();
	const isSql = language === "sql";
	return (
		<div className={styles.bar}>
			<Editor
				label={isSql ? "SQL" : "Question"}
				placeholder={isSql ? "select … from spans" : "count(spans) by op since 1h"}
				value={draft}
				onChange={setDraft}
				onRun={() => run()}
				language={language}
				mistake={mistake}
				mistakeId={mistakeId}
			>
				{isRunning ? (
					<Button icon={<StopIcon size={14} />} onClick={cancel}>
						Cancel
					</Button>
				) : (
					<Button
						variant="primary"
						icon={<PlayIcon size={14} />}
						disabled={draft.trim() === ""}
						onClick={() => run()}
					>
						Run
					</Button>
				)}
			</Editor>
			{mistake && (
				<MistakeNote
					id={mistakeId}
					mistake={mistake}
					text={draft}
					onCorrect={(text) => run(text)}
				/>
			)}
			<div className={styles.controls}>
				<Segmented label="Language" value={language} items={LANGUAGES} onChange={setLanguage} />
				{isSql ? <SqlHint /> : <QuestionTime explore={explore} />}
				<p className={styles.keys}>
					{isSql ? (
						<>
							<Kbd>Ctrl</Kbd> <Kbd>Enter</Kbd> asks
						</>
					) : (
						<>
							<Kbd>Enter</Kbd> asks · <Kbd>Shift</Kbd> <Kbd>Enter</Kbd> begins a line ·{" "}
							<Kbd>Ctrl</Kbd> <Kbd>Space</Kbd> suggests
						</>
					)}
				</p>
			</div>
		</div>
	);
}

function SqlHint() {
	return (
		<p className={styles.hint}>
			One statement that reads from <code>spans</code>. It says its time itself, by{" "}
			<code>start</code>.
		</p>
	);
}

/** The question's time. Another one is asked about at once, where there is a question to ask. */
function QuestionTime({ explore: { draft, asked, run, setDraft } }: { explore: Explore }) {
	const question = parse(draft);
	const change = (range: TimeRange) => {
		if (!question) return;
		const { text } = withTime(question, range);
		if (asked) run(text);
		else setDraft(text);
	};
	return (
		<TimeRangePicker
			range={question ? timeOf(question) : { kind: "all" }}
			onChange={change}
			disabled={!question}
		/>
	);
}
