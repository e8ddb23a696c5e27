/** An answer, shown in one of the ways. What draws charts is loaded where a chart is first needed. */

import { lazy, Suspense, useMemo } from "react";
import { EmptyState, Skeleton } from "../ui";
import { AnswerTable } from "./AnswerTable";
import { type Answer, rolesOf } from "./answer";
import type { Bounds } from "./heat";
import { NumberView } from "./NumberView";
import type { Stretch } from "./series";
import { TopListView } from "./TopListView";
import type { Sorting } from "./table";
import type { View } from "./views";

const SeriesView = lazy(() =>
	import("./SeriesView").then(({ SeriesView }) => ({ default: SeriesView })),
);
const HeatView = lazy(() => import("./HeatView").then(({ HeatView }) => ({ default: HeatView })));

export type AnswerViewProps = {
	view: View;
	answer: Answer;
	/** How many of the columns, the last ones, are figures; none if that is not known. */
	figures: number;
	/** What the answer is of. */
	label: string;
	/** How long a bucket of time is, in milliseconds. */
	step?: number | undefined;
	stretch?: Stretch | undefined;
	onStretch?: ((stretch: Stretch) => void) | undefined;
	onRegion?: ((bounds: Bounds | undefined) => void) | undefined;
	sorting?: Sorting | undefined;
	onSort?: ((sorting: Sorting | undefined) => void) | undefined;
};

export function AnswerView({ view, answer, figures, label, ...more }: AnswerViewProps) {
	const roles = useMemo(() => rolesOf(answer, figures), [answer, figures]);
	const { step, stretch, onStretch, onRegion, sorting, onSort } = more;
	if (answer.rows.length === 0 && view !== "number") {
		return <EmptyState title="No spans">Nothing matches the question in this time.</EmptyState>;
	}
	switch (view) {
		case "table":
			return <AnswerTable answer={answer} label={label} sorting={sorting} onSort={onSort} />;
		case "top":
			return <TopListView answer={answer} roles={roles} />;
		case "number":
			return <NumberView answer={answer} roles={roles} />;
		case "series":
			return (
				<Suspense fallback={<Skeleton />}>
					<SeriesView
						answer={answer}
						roles={roles}
						step={step}
						stretch={stretch}
						onStretch={onStretch}
					/>
				</Suspense>
			);
		case "heat":
			return (
				<Suspense fallback={<Skeleton />}>
					<HeatView answer={answer} step={step ?? 60_000} stretch={stretch} onRegion={onRegion} />
				</Suspense>
			);
	}
}
