/** A dashboard on its way to being another: what is changed is a draft until it is saved, or dropped. */

import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { type Edit, edited, tidied } from "./edits";
import type { Dashboard } from "./model";
import type { Listed } from "./ready";
import { Conflict, useSave } from "./store";

export type Editing = {
	/** As it is shown: the draft while there is one. */
	dashboard: Dashboard;
	isEditing: boolean;
	isDirty: boolean;
	begin(): void;
	edit(edit: Edit): void;
	/** Makes an edit to the dashboard as it was at some moment, such as when a drag began. */
	editFrom(dashboard: Dashboard, edit: Edit): void;
	save(options?: { overwrite: boolean }): void;
	drop(): void;
	isSaving: boolean;
	error: unknown;
	/** What somebody else has saved meanwhile. */
	conflict: Dashboard | "removed" | undefined;
	/** Goes on editing, in spite of a conflict. */
	dismiss(): void;
};

type Draft = {
	/** The dashboard that was begun with, and whether the server keeps it. */
	base: Dashboard;
	isKept: boolean;
	draft: Dashboard;
};

export function useEditing({ dashboard, isKept }: Listed): Editing {
	const isAsked = useSearch({ from: "/dashboards/$dashboardId" }).edit === true;
	const navigate = useNavigate({ from: "/dashboards/$dashboardId" });
	const fresh = (): Draft => ({ base: dashboard, isKept, draft: tidied(dashboard) });
	const [state, setState] = useState<Draft | undefined>(() => (isAsked ? fresh() : undefined));
	const { mutate, isPending, error, reset } = useSave();

	const leave = () => {
		setState(undefined);
		reset();
		if (isAsked) navigate({ search: ({ edit: _, ...others }) => others, replace: true });
	};
	const editFrom = (from: Dashboard, edit: Edit) =>
		setState((state) => state && { ...state, draft: edited(from, edit) });

	return {
		dashboard: state?.draft ?? dashboard,
		isEditing: state !== undefined,
		isDirty:
			state !== undefined && JSON.stringify(state.draft) !== JSON.stringify(tidied(state.base)),
		begin: () => setState(fresh()),
		edit: (edit) => setState((state) => state && { ...state, draft: edited(state.draft, edit) }),
		editFrom,
		save({ overwrite } = { overwrite: false }) {
			if (!state) return;
			const base = state.isKept ? state.base : undefined;
			const change = { kind: "put dashboard", dashboard: tidied(state.draft), base } as const;
			mutate({ change, overwrite }, { onSuccess: leave });
		},
		drop: leave,
		isSaving: isPending,
		error: error instanceof Conflict ? undefined : error,
		conflict: error instanceof Conflict ? error.theirs : undefined,
		dismiss: reset,
	};
}
