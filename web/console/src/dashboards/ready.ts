/**
 * Dashboards that come with Hopline: the four questions that its tracing was made to answer, throughput, the latencies of
 * hops, and failures. One that is edited is kept under the same id, in place of the ready-made one.
 */

import type { View } from "../charts/views";
import type { Dashboard, DashboardDocument, Panel } from "./model";

type Sketch = [
	title: string,
	view: View,
	query: string,
	x: number,
	y: number,
	w: number,
	h: number,
];

function readyMade(id: string, name: string, panels: Sketch[]): Dashboard {
	return {
		id,
		name,
		panels: panels.map(
			([title, view, query, x, y, w, h], at): Panel => ({
				id: `${id}-${at + 1}`,
				title,
				view,
				query,
				x,
				y,
				w,
				h,
			}),
		),
	};
}

/** The hops of an event, in the order in which it takes them. */
const HOPS =
	"op:[runner.event.send, broker.event.forward, api.runner.event.process, db.persist.event, websocket.broadcast]";

export const READY_MADE: readonly Dashboard[] = [
	readyMade("event-path", "Path of events", [
		[
			"Average database write time",
			"number",
			'avg(span.duration) where op:"db.persist.event"',
			0,
			0,
			3,
			3,
		],
		[
			"Event routing overhead",
			"number",
			'sum(span.duration) where op:"broker.event.forward"',
			3,
			0,
			3,
			3,
		],
		["Events committed", "number", 'count(spans) where op:"db.persist.event"', 6, 0, 3, 3],
		["Share that failed", "number", `failure_rate() where ${HOPS}`, 9, 0, 3, 3],
		["Throughput: events at each hop", "series", `count(spans) where ${HOPS} by op`, 0, 3, 6, 7],
		["Duration of database writes", "heat", 'spans where op:"db.persist.event"', 6, 3, 6, 7],
		[
			"Slowest persistence operations",
			"table",
			'spans where op:"db.persist.event" order by duration desc limit 10',
			0,
			10,
			12,
			8,
		],
		[
			"Failed event forwards",
			"table",
			'spans where name:"broker.forwardEvent.*" and status:"error"',
			0,
			18,
			12,
			6,
		],
	]),
	readyMade("hop-latencies", "Hop latencies", [
		["Latency of each hop (p95)", "series", `p95(span.duration) where ${HOPS} by op`, 0, 0, 8, 7],
		[
			"Latency of each hop: median and tail",
			"table",
			`p50(span.duration), p95(span.duration), p99(span.duration), count(spans) where ${HOPS} by op`,
			0,
			7,
			12,
			5,
		],
		["Where the time goes", "top", "sum(span.duration) by op", 8, 0, 4, 7],
		["Forwarding by the broker", "heat", "spans where op:broker.event.forward", 0, 12, 6, 7],
		["Processing by the API", "heat", "spans where op:api.runner.event.process", 6, 12, 6, 7],
		[
			"Slowest statements",
			"top",
			"p95(span.duration) where op:db.query by name limit 12",
			0,
			19,
			6,
			7,
		],
		["Waiting in queues", "series", "p95(hopline.queue.wait_ms) by op", 6, 19, 6, 7],
	]),
	readyMade("failures", "Failures", [
		["Spans with an error", "number", "count(spans) where status:error", 0, 0, 3, 3],
		[
			"Failed event forwards",
			"number",
			'count(spans) where name:"broker.forwardEvent.*" and status:"error"',
			3,
			0,
			3,
			3,
		],
		[
			"Builds that failed",
			"number",
			"count(spans) where op:db.persist.finalize and session.status:failed",
			6,
			0,
			3,
			3,
		],
		[
			"Commands that failed",
			"number",
			"count(spans) where op:runner.command and status:error",
			9,
			0,
			3,
			3,
		],
		["Errors over time", "series", "count(spans) where status:error by op", 0, 3, 7, 6],
		["What went wrong", "top", "count(spans) where status:error by error.type", 7, 3, 5, 6],
		["Failure rate by service", "table", "failure_rate(), count(spans) by service", 0, 9, 5, 6],
		["Latest errors", "table", "spans where status:error limit 50", 5, 9, 7, 6],
	]),
];

export type Listed = {
	dashboard: Dashboard;
	/** Whether it comes with Hopline. */
	isReadyMade: boolean;
	/** Whether it is kept by the server: what is ready-made is not, until it is edited. */
	isKept: boolean;
};

/** All dashboards there are, the ready-made ones first. */
export function listed({ dashboards }: Pick<DashboardDocument, "dashboards">): Listed[] {
	const readyMade = READY_MADE.map((ready): Listed => {
		const kept = dashboards.find(({ id }) => id === ready.id);
		return { dashboard: kept ?? ready, isReadyMade: true, isKept: kept !== undefined };
	});
	const ids = new Set(READY_MADE.map(({ id }) => id));
	const own = dashboards.filter(({ id }) => !ids.has(id));
	return [
		...readyMade,
		...own.map((dashboard) => ({ dashboard, isReadyMade: false, isKept: true })),
	];
}
