/** Questions that were asked lately in this browser, and those that were saved for all. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { adviceFor } from "../api/ApiErrorNote";
import type { View } from "../charts/views";
import type { SavedQuestion } from "../dashboards/model";
import { documentQuery, useSave } from "../dashboards/store";
import { Button, ChevronDownIcon, ConfirmDialog, ErrorNote, Menu, type MenuItem } from "../ui";
import { forgetQuestions, useRecentQuestions } from "./history";

export type QuestionMenusProps = { onAsk(question: string, view?: View): void };

export function QuestionMenus({ onAsk }: QuestionMenusProps) {
	return (
		<>
			<SavedMenu onAsk={onAsk} />
			<RecentMenu onAsk={onAsk} />
		</>
	);
}

function RecentMenu({ onAsk }: QuestionMenusProps) {
	const questions = useRecentQuestions();
	const items: MenuItem[] = questions.map((question) => ({
		label: question.replaceAll(/\s+/g, " "),
		onSelect: () => onAsk(question),
	}));
	return (
		<Menu
			trigger={
				<Button disabled={questions.length === 0}>
					Recent
					<ChevronDownIcon size={14} />
				</Button>
			}
			items={[...items, "separator", { label: "Forget these", onSelect: forgetQuestions }]}
		/>
	);
}

function SavedMenu({ onAsk }: QuestionMenusProps) {
	const { data } = useQuery(documentQuery());
	const [removing, setRemoving] = useState<SavedQuestion>();
	const saved = data?.saved ?? [];
	const items: MenuItem[] = saved.map(({ name, query, view }) => ({
		label: name,
		onSelect: () => onAsk(query, view),
	}));
	const removals: MenuItem[] = saved.map((question) => ({
		label: `Remove “${question.name}”`,
		danger: true,
		onSelect: () => setRemoving(question),
	}));
	return (
		<>
			<Menu
				trigger={
					<Button disabled={saved.length === 0}>
						Saved
						<ChevronDownIcon size={14} />
					</Button>
				}
				items={[...items, "separator", ...removals]}
			/>
			{removing && <RemoveDialog question={removing} onClose={() => setRemoving(undefined)} />}
		</>
	);
}

function RemoveDialog({ question, onClose }: { question: SavedQuestion; onClose(): void }) {
	const { mutate, isPending, error } = useSave();
	const change = { kind: "remove question", id: question.id } as const;
	return (
		<ConfirmDialog
			open
			onClose={onClose}
			title={`Remove “${question.name}”?`}
			description="It is gone then from the list, for everyone who uses this Hopline."
			confirm="Remove"
			danger
			busy={isPending}
			onConfirm={() => mutate({ change }, { onSuccess: onClose })}
		>
			{error && <ErrorNote title="That was not saved">{adviceFor(error)}</ErrorNote>}
		</ConfirmDialog>
	);
}
