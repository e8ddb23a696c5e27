/** A dashboard's panels on their grid. On a phone they come one below the other. */

import { useNavigate } from "@tanstack/react-router";
import { useRef, useState } from "react";
import { between } from "../query/time/ranges";
import { EmptyState } from "../ui";
import { inReadingOrder } from "./grid";
import styles from "./grid.module.css";
import type { Panel } from "./model";
import { PanelCard } from "./PanelCard";
import { paceOf } from "./time";
import { useArranging } from "./useArranging";
import type { DashboardTime } from "./useDashboardTime";
import type { Editing } from "./useEditing";

export function Grid({ editing, time }: { editing: Editing; time: DashboardTime }) {
	const grid = useRef<HTMLDivElement>(null);
	const navigate = useNavigate();
	const { handles, held } = useArranging(editing, grid);
	const { dashboard, isEditing } = editing;
	const { panels } = dashboard;
	if (panels.length === 0) {
		return (
			<EmptyState title="No panels yet">
				{isEditing
					? "Add one: a question, and how its answer is shown."
					: "Edit the dashboard to add some, or add a question from Explore."}
			</EmptyState>
		);
	}
	// While they are arranged they keep their order: what moves within the page would lose the focus.
	const ordered = isEditing ? panels : inReadingOrder(panels);
	return (
		<>
			<div ref={grid} className={styles.grid}>
				{ordered.map((panel) => (
					<PanelCard
						key={panel.id}
						panel={panel}
						editing={editing}
						time={time}
						pace={isEditing ? false : paceOf(time.refresh)}
						handles={handles}
						isHeld={held === panel.id}
						onStretch={({ from, to }) => time.setRange(between(from, to))}
						onRegion={(q) => navigate({ to: "/explore", search: { q, view: "table" } })}
					/>
				))}
			</div>
			{isEditing && <Moved panels={panels} />}
		</>
	);
}

/** Says where a panel has come to, to those who do not see it. */
function Moved({ panels }: { panels: readonly Panel[] }) {
	const [before, setBefore] = useState({ panels, told: "" });
	if (before.panels !== panels) {
		const moved = panels.filter((panel) => {
			const was = before.panels.find(({ id }) => id === panel.id);
			return was && (["x", "y", "w", "h"] as const).some((side) => was[side] !== panel[side]);
		});
		const told = moved.map(
			({ title, x, y, w, h }) => `${title}: column ${x + 1}, row ${y + 1}, ${w} wide, ${h} high`,
		);
		setBefore({ panels, told: told.join(". ") });
	}
	return (
		<p className="visually-hidden" aria-live="polite">
			{before.told}
		</p>
	);
}
