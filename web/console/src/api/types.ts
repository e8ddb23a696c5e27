/** What the API answers, as far as more than one page reads it. /openapi.json describes all of it. */

export type BuildStatus = "active" | "completed" | "failed";

/** One build in a list. */
export interface BuildRow {
	sessionId: string;
	buildId: string;
	commandId: string;
	projectId: string;
	projectName?: string | null;
	projectSlug?: string | null;
	operationType: string;
	agentId: string;
	runnerId?: string | null;
	status: BuildStatus;
	/** Whether nothing can change the status any more. */
	final: boolean;
	/** Whether events of the build were lost. */
	incomplete: boolean;
	errorMessage: string | null;
	exitCode: number | null;
	traceId: string | null;
	/** The sequence number of its last event: how many it has sent. */
	lastSeq: number;
	summary: string | null;
	todosDone?: number;
	todosTotal?: number;
	startedAt: string;
	endedAt: string | null;
}

export interface BuildList {
	builds: BuildRow[];
	nextCursor: string | null;
}

export interface Project {
	id: string;
	name: string;
	slug: string;
	description: string | null;
	status: string;
	projectType: string | null;
	runnerId: string | null;
	lastActivityAt: string | null;
	createdAt: string;
	updatedAt: string;
}

export interface BuildStarted {
	sessionId: string;
	buildId: string;
	commandId: string;
	traceId: string;
}

/** What a runner last said about itself; older ones say less. */
export interface RunnerStatus {
	status?: string;
	version?: string;
	hostname?: string;
	platform?: string;
	uptimeSeconds?: number;
	beganAt?: string;
	/** The machine's load of one minute. */
	load?: number;
	/** How many builds and development servers it runs. */
	builds?: number;
	devServers?: number;
	/** Events made and not yet acknowledged, and their bytes. */
	eventsWaiting?: number;
	outboxBytes?: number;
	protocol?: string;
	oneBuild?: boolean;
	clockOffsetNs?: number;
	[more: string]: unknown;
}

export interface Runner {
	id: string;
	brokerUrl: string | null;
	link: "up" | "down";
	status: RunnerStatus | null;
	lastSeenAt: string;
}

export interface ServerStatus {
	version: string;
	startedAt: string;
	uptimeSeconds: number;
	database: string;
	runners: string[];
	runningBuilds: number;
}
