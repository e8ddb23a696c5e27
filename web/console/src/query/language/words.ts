/** The words of the query language, as `docs/queries.md` describes them. */

export type Described = { name: string; about: string };

/** What a question can ask for beside `spans`. */
export const FUNCTIONS: Described[] = [
	{ name: "count", about: "how many spans, or how many have a field" },
	{ name: "avg", about: "the mean, weighed" },
	{ name: "p95", about: "95 % are not above it" },
	{ name: "p50", about: "the median" },
	{ name: "p75", about: "75 % are not above it" },
	{ name: "p90", about: "90 % are not above it" },
	{ name: "p99", about: "99 % are not above it" },
	{ name: "min", about: "the least" },
	{ name: "max", about: "the most" },
	{ name: "sum", about: "all together, weighed" },
	{ name: "count_unique", about: "how many different values" },
	{ name: "failure_rate", about: "the share of spans with an error" },
];

/** Words with which a clause begins. */
export const CLAUSES: Described[] = [
	{ name: "where", about: "only spans for which this holds" },
	{ name: "by", about: "a row for each group" },
	{ name: "per", about: "a row for each stretch of time" },
	{ name: "since", about: "so long before now" },
	{ name: "from", about: "from a time, to another" },
	{ name: "order", about: "sorted by a field or a figure" },
	{ name: "limit", about: "so many rows" },
];

/** Words that join conditions. */
export const JOINERS: Described[] = [
	{ name: "and", about: "both hold" },
	{ name: "or", about: "one holds" },
];

/** Fields that spans of Hopline and of OpenTelemetry's and Sentry's programs commonly have. */
export const FIELDS: Described[] = [
	{ name: "op", about: "what kind of work" },
	{ name: "name", about: "what the span is called" },
	{ name: "duration", about: "how long it took" },
	{ name: "status", about: "ok, error or unset" },
	{ name: "service", about: "which program made it" },
	{ name: "kind", about: "server, client, producer, consumer, internal" },
	{ name: "start", about: "when it began" },
	{ name: "trace_id", about: "which trace it belongs to" },
	{ name: "span_id", about: "the span's id" },
	{ name: "parent_id", about: "the span that it is a child of" },
	{ name: "span.duration", about: "as Sentry writes duration" },
	{ name: "span.op", about: "as Sentry writes op" },
	{ name: "transaction.duration", about: "how long a process's part of a trace took" },
	{ name: "event.type", about: "type of the event that it is a hop of" },
	{ name: "event.projectId", about: "the event's project" },
	{ name: "event.commandId", about: "the event's command" },
	{ name: "event.sessionId", about: "the event's build" },
	{ name: "event.seq", about: "the event's number" },
	{ name: "session.status", about: "how a build ended" },
	{ name: "error.type", about: "what went wrong" },
	{ name: "db.system.name", about: "which database" },
	{ name: "db.operation.name", about: "INSERT, UPDATE, …" },
	{ name: "db.collection.name", about: "which table" },
	{ name: "db.query.summary", about: "the statement in short" },
	{ name: "db.operation.batch.size", about: "rows of a statement" },
	{ name: "hopline.queue.wait_ms", about: "how long it waited" },
	{ name: "hopline.shared_by", about: "traces that show the same statement" },
	{ name: "messaging.batch.message_count", about: "events forwarded at once" },
	{ name: "http.route", about: "the route of a request" },
	{ name: "http.request.method", about: "GET, POST, …" },
	{ name: "http.response.status_code", about: "the answer's status" },
	{ name: "gen_ai.tool.name", about: "which tool an agent called" },
	{ name: "gen_ai.tool.call.id", about: "which call of it" },
	{ name: "record", about: "event or log: what Sentry's SDKs sent beside spans" },
];

/** Lengths of time that are often asked about. */
export const LENGTHS: Record<"per" | "since", string[]> = {
	per: ["10s", "30s", "1m", "5m", "15m", "1h", "1d"],
	since: ["15m", "1h", "6h", "24h", "7d"],
};

/** Where a field has few values that everyone knows. */
export const VALUES: Record<string, string[]> = {
	status: ["ok", "error", "unset"],
	kind: ["internal", "server", "client", "producer", "consumer"],
	record: ["event", "log"],
};

const CLAUSE_NAMES = new Set(CLAUSES.map(({ name }) => name));
const KEYWORDS = new Set(["where", "and", "or", "not", ...CLAUSE_NAMES]);
const FUNCTION_NAMES = new Set(FUNCTIONS.map(({ name }) => name));

export const isClause = (word: string) => CLAUSE_NAMES.has(word.toLowerCase());
export const isKeyword = (word: string) => KEYWORDS.has(word.toLowerCase());
export const isFunction = (word: string) => FUNCTION_NAMES.has(word.toLowerCase());

/** Spellings of one field under one name. */
export function sameField(name: string): string {
	const own = name.startsWith("transaction.") ? name.slice("transaction.".length) : name;
	return ALIASES[own] ?? own;
}

const ALIASES: Record<string, string> = {
	"span.op": "op",
	"sentry.op": "op",
	"span.name": "name",
	"span.description": "name",
	description: "name",
	"span.status": "status",
	"span.duration": "duration",
	timestamp: "start",
	"service.name": "service",
	"span.kind": "kind",
	trace: "trace_id",
	id: "span_id",
	parent: "parent_id",
	parent_span: "parent_id",
	"hopline.record": "record",
};
