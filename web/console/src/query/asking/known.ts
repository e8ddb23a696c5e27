/** What the stored spans have, for completion: fields, and the values of one of them. Asked for once and kept a while. */

import { queryOptions } from "@tanstack/react-query";
import type { Value } from "../../charts/answer";
import type { SeenValue } from "../language/options";
import { writtenField } from "../language/tokens";
import { sameField } from "../language/words";
import { ask } from "./ask";

const MINUTE = 60_000;

/** Attributes of the last hour's spans, the most frequent first. A sample of the spans is enough. */
const FIELDS = `select key, count(*) as n from (
  select unnest(map_keys(attributes)) as key from (
    select attributes from spans where start > now() - interval '1 hour' and attributes is not null limit 20000
  )
) group by key order by n desc limit 200`;

/** Fields whose values are measured or all different: there is nothing to choose from. */
const UNLISTED = new Set(["duration", "start", "span_id", "parent_id", "weight"]);

/** Names of attributes that spans were seen to have. */
export const fieldsQuery = () =>
	queryOptions({
		queryKey: ["known fields"],
		queryFn: async ({ signal }) => {
			const { rows } = await ask("sql", FIELDS, { signal });
			return rows.map(([key]) => String(key));
		},
		staleTime: 5 * MINUTE,
		refetchOnWindowFocus: false,
		retry: false,
	});

/** Values of a field, the most frequent first. */
export const valuesQuery = (field: string) =>
	queryOptions({
		queryKey: ["known values", field],
		queryFn: async ({ signal }) => {
			const lately = await valuesSince(field, "1h", signal);
			return lately.length > 0 ? lately : valuesSince(field, "7d", signal);
		},
		enabled: field !== "" && !UNLISTED.has(sameField(field)),
		staleTime: MINUTE,
		refetchOnWindowFocus: false,
		retry: false,
	});

async function valuesSince(
	field: string,
	length: string,
	signal: AbortSignal,
): Promise<SeenValue[]> {
	const question = `count(spans) by ${writtenField(field)} since ${length} limit 50`;
	const { rows } = await ask("query", question, { signal });
	return rows.flatMap(([value, count]) =>
		isThere(value) ? [{ value: String(value), count: Number(count) }] : [],
	);
}

const isThere = (value: Value | undefined) => value !== null && value !== undefined && value !== "";
