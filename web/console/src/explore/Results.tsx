/** The answer to a question: the ways to show it, and what can be done with it. */

import { type ReactNode, useMemo, useState } from "react";
import { ApiErrorNote } from "../api/ApiErrorNote";
import { ApiError } from "../api/client";
import { AnswerView } from "../charts/AnswerView";
import type { Bounds } from "../charts/heat";
import { csvOf, type Sorting, sortedRows } from "../charts/table";
import { VIEW_NAMES, VIEWS } from "../charts/views";
import type { Asked } from "../query/asking/shown";
import { CannotShow, type Shown } from "../query/asking/shown";
import { withTime } from "../query/language/clauses";
import { parse } from "../query/language/parse";
import { between } from "../query/time/ranges";
import {
	Button,
	CopyButton,
	cx,
	DownloadIcon,
	download,
	EmptyState,
	ErrorNote,
	formatCount,
	formatDuration,
	IconButton,
	Segmented,
	SkeletonRows,
} from "../ui";
import styles from "./explore.module.css";
import { RegionSpans } from "./RegionSpans";
import type { Explore } from "./useExplore";
import { WhatWasAsked } from "./WhatWasAsked";

const VIEW_ITEMS = VIEWS.map((view) => ({ value: view, label: VIEW_NAMES[view] }));

export function Results({ explore, children }: { explore: Explore; children?: ReactNode }) {
	const { asked, shown, isOld, view, setView } = explore;
	const [sorting, setSorting] = useState<Sorting>();
	return (
		<section className={styles.results} aria-label="Answer" aria-busy={explore.isRunning}>
			<div className={styles.toolbar}>
				<Segmented
					className={styles.views}
					label="Shown as"
					value={view}
					items={VIEW_ITEMS}
					onChange={setView}
				/>
				<div className={styles.actions}>
					{shown && !isOld && <Exports shown={shown} sorting={sorting} />}
					{children}
				</div>
			</div>
			<div className={cx(styles.progress, explore.isRunning && styles.running)} />
			<Body explore={explore} sorting={sorting} onSort={setSorting} />
			{asked && shown && !isOld && <Foot asked={asked} shown={shown} onAsk={explore.run} />}
		</section>
	);
}

function Body({
	explore,
	sorting,
	onSort,
}: {
	explore: Explore;
	sorting: Sorting | undefined;
	onSort(sorting: Sorting | undefined): void;
}) {
	const { asked, shown, isOld, isCancelled, error, mistake, run } = explore;
	const [region, setRegion] = useState<{ bounds: Bounds; of: Shown }>();
	const question = useMemo(() => (asked ? parse(asked.text) : undefined), [asked]);
	if (error && !shown)
		return <Failure error={error} isMarked={mistake !== undefined} onRetry={() => run()} />;
	if (isCancelled) {
		return (
			<EmptyState title="Cancelled" action={<Button onClick={() => run()}>Ask again</Button>}>
				The question was given up before its answer came.
			</EmptyState>
		);
	}
	if (!shown) return <SkeletonRows label="The question is being answered" />;
	const { answer, plan, view } = shown;
	return (
		<>
			<div className={cx(styles.answer, styles[view], isOld && styles.old)}>
				<AnswerView
					view={view}
					answer={answer}
					figures={plan.figures}
					label="The answer's rows"
					step={plan.step}
					stretch={plan.stretch}
					sorting={sorting}
					onSort={onSort}
					onStretch={
						question && (({ from, to }) => run(withTime(question, between(from, to)).text))
					}
					onRegion={question && ((bounds) => setRegion(bounds && { bounds, of: shown }))}
				/>
			</div>
			{question && region?.of === shown && view === "heat" && (
				<RegionSpans question={question} bounds={region.bounds} />
			)}
		</>
	);
}

function Failure({
	error,
	isMarked,
	onRetry,
}: {
	error: unknown;
	/** Whether it is told at the question already. */
	isMarked: boolean;
	onRetry(): void;
}) {
	if (isMarked)
		return <p className={styles.empty}>There is no answer until the question is put right.</p>;
	if (error instanceof CannotShow)
		return <EmptyState title="Not in this way">{error.message}</EmptyState>;
	const code = error instanceof ApiError ? error.code : "";
	if (code === "too_long" || code === "too_much") {
		return (
			<ErrorNote title={code === "too_long" ? "That took too long" : "That needs too much memory"}>
				<p>Ask about a shorter time, fewer spans or fewer groups.</p>
			</ErrorNote>
		);
	}
	return <ApiErrorNote error={error} title="The question was not answered" onRetry={onRetry} />;
}

function Exports({ shown, sorting }: { shown: Shown; sorting: Sorting | undefined }) {
	const csv = () => csvOf(shown.answer, sortedRows(shown.answer, sorting));
	return (
		<>
			<CopyButton label="Copy as CSV" text={csv} variant="ghost" />
			<IconButton
				label="Download as CSV"
				icon={<DownloadIcon />}
				onClick={() => download("answer.csv", "text/csv", csv())}
			/>
		</>
	);
}

function Foot({ asked, shown, onAsk }: { asked: Asked; shown: Shown; onAsk(text: string): void }) {
	const { answer, plan, took } = shown;
	const rows = answer.rows.length === 1 ? "1 row" : `${formatCount(answer.rows.length)} rows`;
	return (
		<div className={styles.foot}>
			<p>
				{answer.more ? `The first ${rows}; there are more` : rows} · {formatDuration(took * 1e6)}
			</p>
			{plan.text !== asked.text && <WhatWasAsked plan={plan} onAsk={onAsk} />}
		</div>
	);
}
