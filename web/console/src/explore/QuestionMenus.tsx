/** Questions that were asked lately in this browser, and those that were saved for all. */

import { useQuery } from "@tanstack/react-query";
import type { View } from "../charts/views";
import { documentQuery, useSave } from "../dashboards/store";
import { Button, ChevronDownIcon, Menu, type MenuItem } from "../ui";
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
	const { mutate } = useSave();
	const saved = data?.saved ?? [];
	const items: MenuItem[] = saved.map(({ name, query, view }) => ({
		label: name,
		onSelect: () => onAsk(query, view),
	}));
	const removals: MenuItem[] = saved.map(({ id, name }) => ({
		label: `Remove “${name}”`,
		danger: true,
		onSelect: () => mutate({ change: { kind: "remove question", id } }),
	}));
	return (
		<Menu
			trigger={
				<Button disabled={saved.length === 0}>
					Saved
					<ChevronDownIcon size={14} />
				</Button>
			}
			items={[...items, "separator", ...removals]}
		/>
	);
}
