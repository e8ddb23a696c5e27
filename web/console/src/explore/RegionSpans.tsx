/** The spans of a region that was selected on a heat map. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { ApiErrorNote } from "../api/ApiErrorNote";
import { serverNow } from "../api/clock";
import { AnswerTable } from "../charts/AnswerTable";
import type { Bounds } from "../charts/heat";
import { formatSpan } from "../charts/values";
import { regionQuestion } from "../query/asking/plan";
import { shownQuery } from "../query/asking/shown";
import type { Question } from "../query/language/parse";
import { buttonClass, EmptyState, formatDuration, SkeletonRows } from "../ui";
import styles from "./explore.module.css";

export function RegionSpans({ question, bounds }: { question: Question; bounds: Bounds }) {
	const text = useMemo(() => regionQuestion(question, bounds), [question, bounds]);
	const { data, error, refetch } = useQuery(shownQuery({ language: "query", text, view: "table" }));
	const { from, to, shortest, longest } = bounds;
	const answer = data?.answer;
	return (
		<section className={styles.region} aria-labelledby="region">
			<div className={styles.toolbar}>
				<h2 id="region">
					Spans of {formatDuration(shortest)} – {formatDuration(longest)},{" "}
					{formatSpan(from, to, serverNow())}
				</h2>
				<Link
					className={buttonClass({ size: "small" })}
					to="/explore"
					search={{ q: text, view: "table" }}
				>
					As a question
				</Link>
			</div>
			{error && (
				<ApiErrorNote error={error} title="The spans could not be read" onRetry={() => refetch()} />
			)}
			{!answer && !error && <SkeletonRows label="The spans are being read" rows={4} />}
			{answer?.rows.length === 0 && (
				<EmptyState title="No spans">There are none in these cells.</EmptyState>
			)}
			{answer && answer.rows.length > 0 && (
				<div className={styles.listing}>
					<AnswerTable answer={answer} label="Spans of the region" />
				</div>
			)}
		</section>
	);
}
