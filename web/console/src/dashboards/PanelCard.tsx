/** A panel on the grid. While the dashboard is edited it can be moved, resized, changed, copied and removed. */

import { Link } from "@tanstack/react-router";
import { type CSSProperties, useId, useState } from "react";
import type { Stretch } from "../charts/series";
import {
	buttonClass,
	CopyIcon,
	cx,
	EditIcon,
	ExploreIcon,
	IconButton,
	Menu,
	MoreIcon,
	Tooltip,
	TrashIcon,
} from "../ui";
import styles from "./grid.module.css";
import { newId, type Panel } from "./model";
import { PanelBody } from "./PanelBody";
import { PanelDialog } from "./PanelDialog";
import { questionAt } from "./time";
import type { Handles } from "./useArranging";
import type { DashboardTime } from "./useDashboardTime";
import type { Editing } from "./useEditing";

export type PanelCardProps = {
	panel: Panel;
	editing: Editing;
	time: DashboardTime;
	pace: number | false;
	handles: Handles;
	isHeld: boolean;
	onStretch(stretch: Stretch): void;
	onRegion(question: string): void;
};

export function PanelCard(props: PanelCardProps) {
	const { panel, editing, time, pace, handles, isHeld, onStretch, onRegion } = props;
	const { isEditing } = editing;
	const titleId = useId();
	const place = { "--x": panel.x + 1, "--y": panel.y + 1, "--w": panel.w, "--h": panel.h };
	return (
		<section
			className={cx(styles.panel, styles[panel.view], isHeld && styles.held)}
			style={place as CSSProperties}
			aria-labelledby={titleId}
		>
			<div className={styles.head}>
				<h2 id={titleId} className={styles.title} title={panel.title}>
					<bdi>{panel.title}</bdi>
				</h2>
				{isEditing ? (
					<EditMenu panel={panel} editing={editing} time={time} />
				) : (
					<ExploreLink panel={panel} time={time} />
				)}
				{isEditing && (
					<button
						type="button"
						className={styles.mover}
						aria-label={`Move “${panel.title}”`}
						{...handles("move", panel)}
					/>
				)}
			</div>
			<div className={styles.body}>
				<PanelBody
					content={panel}
					range={time.range}
					pace={pace}
					onStretch={onStretch}
					onRegion={isEditing ? undefined : onRegion}
				/>
			</div>
			{isEditing && (
				<button
					type="button"
					className={styles.resizer}
					aria-label={`Resize “${panel.title}”`}
					{...handles("resize", panel)}
				/>
			)}
		</section>
	);
}

function ExploreLink({ panel, time }: { panel: Panel; time: DashboardTime }) {
	const label = `Open “${panel.title}” in Explore`;
	return (
		<Tooltip label="Open in Explore">
			<Link
				className={cx(buttonClass({ variant: "ghost", size: "small" }), styles.explore)}
				to="/explore"
				search={{ q: questionAt(panel.query, time.range), view: panel.view }}
				aria-label={label}
			>
				<ExploreIcon size={14} />
			</Link>
		</Tooltip>
	);
}

function EditMenu({
	panel,
	editing,
	time,
}: {
	panel: Panel;
	editing: Editing;
	time: DashboardTime;
}) {
	const [isOpen, setIsOpen] = useState(false);
	const { id } = panel;
	return (
		<>
			<Menu
				trigger={
					<IconButton
						className={styles.menu}
						size="small"
						label={`Edit “${panel.title}”`}
						icon={<MoreIcon />}
					/>
				}
				items={[
					{ label: "Edit", icon: <EditIcon size={14} />, onSelect: () => setIsOpen(true) },
					{
						label: "Make a copy",
						icon: <CopyIcon size={14} />,
						onSelect: () => editing.edit({ kind: "duplicate", id, copyId: newId() }),
					},
					"separator",
					{
						label: "Remove",
						icon: <TrashIcon size={14} />,
						danger: true,
						onSelect: () => editing.edit({ kind: "remove", id }),
					},
				]}
			/>
			{isOpen && (
				<PanelDialog
					content={panel}
					range={time.range}
					onClose={() => setIsOpen(false)}
					onDone={({ title, query, view }) => {
						editing.edit({ kind: "change", id, content: { title, query, view } });
						setIsOpen(false);
					}}
				/>
			)}
		</>
	);
}
