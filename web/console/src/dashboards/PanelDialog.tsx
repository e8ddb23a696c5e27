/** Writes what a panel shows: its title, its question, and how the answer is shown, with a look at it. */

import { useId, useState } from "react";
import { VIEW_NAMES, VIEWS, type View } from "../charts/views";
import { languageOf } from "../query/asking/ask";
import { Editor } from "../query/editor/Editor";
import type { TimeRange } from "../query/language/clauses";
import { Button, Dialog, PlayIcon, Segmented, TextField } from "../ui";
import styles from "./dashboards.module.css";
import type { PanelContent } from "./edits";
import { PanelBody } from "./PanelBody";

export type PanelDialogProps = {
	/** What it shows so far; nothing where it is a new one. */
	content?: PanelContent | undefined;
	range: TimeRange;
	onDone(content: PanelContent): void;
	onClose(): void;
};

const VIEW_ITEMS = VIEWS.map((view) => ({ value: view, label: VIEW_NAMES[view] }));

export function PanelDialog({ content, range, onDone, onClose }: PanelDialogProps) {
	const previewId = useId();
	const [title, setTitle] = useState(content?.title ?? "");
	const [query, setQuery] = useState(content?.query ?? "");
	const [view, setView] = useState<View>(content?.view ?? "series");
	const [looked, setLooked] = useState(content?.query ?? "");
	const isWritten = title.trim() !== "" && query.trim() !== "";
	return (
		<Dialog
			open
			wide
			onClose={onClose}
			title={content ? "Edit the panel" : "Add a panel"}
			footer={
				<>
					<Button onClick={onClose}>Back</Button>
					<Button
						variant="primary"
						disabled={!isWritten}
						onClick={() => onDone({ title: title.trim(), query: query.trim(), view })}
					>
						{content ? "Apply" : "Add"}
					</Button>
				</>
			}
		>
			<div className={styles.form}>
				<TextField label="Title" value={title} onChange={setTitle} maxLength={200} />
				<div className={styles.question}>
					<span className={styles.label}>Question</span>
					<Editor
						label="Question"
						placeholder="count(spans) by op"
						value={query}
						onChange={setQuery}
						onRun={() => setLooked(query.trim())}
						language={languageOf(query)}
					>
						<Button
							icon={<PlayIcon size={14} />}
							disabled={query.trim() === ""}
							onClick={() => setLooked(query.trim())}
						>
							Preview
						</Button>
					</Editor>
					<span className={styles.hint}>
						{languageOf(query) === "sql"
							? "SQL says its time itself, by start."
							: "Its time is the dashboard's."}
					</span>
				</div>
				<Segmented
					className={styles.views}
					label="Shown as"
					value={view}
					items={VIEW_ITEMS}
					onChange={(view) => setView(view)}
				/>
				<section className={styles.preview} aria-labelledby={previewId}>
					<h3 id={previewId} className="visually-hidden">
						Preview
					</h3>
					{looked === "" ? (
						<p className={styles.hint}>Write a question and press Enter to see its answer.</p>
					) : (
						<PanelBody
							content={{ title, query: looked, view }}
							range={range}
							pace={false}
							onCorrect={(corrected) => {
								setQuery(corrected);
								setLooked(corrected);
							}}
						/>
					)}
				</section>
			</div>
		</Dialog>
	);
}
