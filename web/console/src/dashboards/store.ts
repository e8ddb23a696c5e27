/** Reads and saves the document of dashboards and saved questions. */

import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { get, hasCode, send } from "../api/client";
import { type Change, changed, conflictOf } from "./changes";
import type { Dashboard, DashboardDocument } from "./model";

const PATH = "api/dashboards";

/** How often a change is made again on a newer document before it is given up. */
const TRIES = 4;

export const documentQuery = () =>
	queryOptions({
		queryKey: ["dashboards"],
		queryFn: ({ signal }) => get<DashboardDocument>(PATH, { signal }),
		staleTime: 5_000,
	});

/** Somebody else has saved the same dashboard meanwhile: whose shall stay is to be decided. */
export class Conflict extends Error {
	constructor(readonly theirs: Dashboard | "removed") {
		super("somebody else has saved this dashboard");
	}
}

export type Saving = {
	change: Change /** Also over what somebody else has saved. */;
	overwrite?: boolean;
};

/** Makes a change to the document as it is now. */
export async function save({ change, overwrite }: Saving): Promise<DashboardDocument> {
	for (let attempt = 1; ; attempt += 1) {
		const newest = await get<DashboardDocument>(PATH);
		const theirs = overwrite ? undefined : conflictOf(newest, change);
		if (theirs) throw new Conflict(theirs);
		const document = changed(newest, change);
		try {
			const { version } = await send<{ version: number }>("PUT", PATH, document);
			return { ...document, version };
		} catch (error) {
			// Somebody was faster: what they have saved is looked at, and the change made to it.
			if (!hasCode(error, "changed") || attempt === TRIES) throw error;
		}
	}
}

/** Saves changes, so that all who show the document see them. */
export function useSave() {
	const client = useQueryClient();
	return useMutation({
		mutationFn: save,
		onSuccess: (document) => client.setQueryData(documentQuery().queryKey, document),
	});
}
