/** A real Hopline with a data folder of its own, and what a test asks of its API. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Program } from "./processes.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const TARGET = resolve(ROOT, process.env.CARGO_TARGET_DIR ?? "target");

/** The program that is tested. */
export const BINARY = process.env.HOPLINE_BIN ?? join(TARGET, "debug/hopline");

interface Ready {
	server: string;
	broker: string;
	signIn: string;
}

export interface BuildRow {
	sessionId: string;
	traceId: string;
	status: "active" | "completed" | "failed";
	final: boolean;
	lastSeq: number;
	errorMessage: string | null;
}

export interface Build {
	sessionId: string;
	buildId: string;
	commandId: string;
	traceId: string;
}

/** What `POST /api/projects/{id}/build` takes. */
export interface BuildRequest {
	agent: "command" | "steps" | "stream";
	command?: readonly string[] | string;
	steps?: readonly { name: string; run: string }[];
	prompt?: string;
	runnerId?: string;
}

export interface StartOptions {
	env?: Record<string, string>;
	args?: readonly string[];
}

export class Hopline {
	readonly data: string;
	readonly #options: StartOptions;
	#program: Program;
	#ready: Ready;
	#secrets: Record<string, string>;
	#others: Program[] = [];

	private constructor(
		data: string,
		options: StartOptions,
		program: Program,
		ready: Ready,
		secrets: Record<string, string>,
	) {
		this.data = data;
		this.#options = options;
		this.#program = program;
		this.#ready = ready;
		this.#secrets = secrets;
	}

	static async start(options: StartOptions = {}): Promise<Hopline> {
		const data = await mkdtemp(join(tmpdir(), "hopline-browser-"));
		const { program, ready } = await up(data, "127.0.0.1:0", "127.0.0.1:0", options);
		const secrets = parseSecrets(await readFile(join(data, "secrets"), "utf8"));
		return new Hopline(data, options, program, ready, secrets);
	}

	/** Where the server is. */
	get url(): string {
		return this.#ready.server;
	}

	/** The link that signs one browser in. */
	get signIn(): string {
		return this.#ready.signIn;
	}

	get adminSecret(): string {
		return this.#secrets.admin_secret ?? "";
	}

	/** A runner on its own, which outlives the server. */
	async startRunner(id: string): Promise<void> {
		const broker = this.#ready.broker.replace(/^http/, "ws");
		const folder = join(this.data, `runner-${id}`);
		this.#others.push(
			Program.run([BINARY, "runner", "--broker", broker, "--id", id, "--data", folder], {
				RUNNER_SHARED_SECRET: this.#secrets.runner_secret ?? "",
			}),
		);
	}

	async kill(): Promise<void> {
		await this.#program.kill();
	}

	/** Starts it again, at the same addresses and with the same data. */
	async startAgain(): Promise<void> {
		const [server, broker] = [this.#ready.server, this.#ready.broker].map(
			(url) => new URL(url).host,
		);
		const { program, ready } = await up(this.data, server ?? "", broker ?? "", this.#options);
		this.#program = program;
		this.#ready = ready;
	}

	async stop(): Promise<void> {
		await Promise.all([...this.#others, this.#program].map((program) => program.stop()));
		await rm(this.data, { recursive: true, force: true });
	}

	/** Asks the API, as a program with the admin secret does. */
	async fetch(path: string, init: RequestInit = {}): Promise<Response> {
		const headers = new Headers(init.headers);
		headers.set("authorization", `Bearer ${this.adminSecret}`);
		return fetch(new URL(path, this.url), { ...init, headers });
	}

	async get<T>(path: string): Promise<T> {
		const answer = await this.fetch(path);
		if (!answer.ok) throw new Error(`GET ${path}: ${answer.status} ${await answer.text()}`);
		return (await answer.json()) as T;
	}

	async send<T>(method: "POST" | "PUT", path: string, body: unknown): Promise<T> {
		const answer = await this.fetch(path, {
			method,
			headers: { "content-type": "application/json" },
			body: JSON.stringify(body),
		});
		if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
		return (await answer.json()) as T;
	}

	/** Starts a build of a new project. */
	async build(projectName: string, request: BuildRequest): Promise<Build> {
		const project = await this.send<{ id: string }>("POST", "/api/projects", { name: projectName });
		return this.send("POST", `/api/projects/${project.id}/build`, request);
	}

	row(sessionId: string): Promise<BuildRow> {
		return this.get(`/api/builds/${sessionId}`);
	}

	/** Stores spans, as a program does that sends them by OTLP. */
	async sendSpans(request: object): Promise<void> {
		const answer = await fetch(new URL("/v1/traces", this.url), {
			method: "POST",
			headers: {
				"content-type": "application/json",
				authorization: `Bearer ${this.#secrets.ingest_key}`,
			},
			body: JSON.stringify(request),
		});
		if (!answer.ok) throw new Error(`POST /v1/traces: ${answer.status} ${await answer.text()}`);
	}
}

async function up(data: string, listen: string, broker: string, { args = [], env }: StartOptions) {
	const { program, line } = await Program.start(
		[
			BINARY,
			...["up", "--json", "--data", data, "--listen", listen, "--broker-listen", broker],
			...args,
		],
		env,
	);
	return { program, ready: JSON.parse(line) as Ready };
}

/** The lines `name = "value"` of a file of secrets. */
function parseSecrets(file: string): Record<string, string> {
	return Object.fromEntries(
		Array.from(file.matchAll(/^(\w+) = "([^"]*)"$/gm), ([, name, value]) => [name, value]),
	);
}
