/** The test's side of an agent: it decides what the agent says, and when. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";

const PROGRAM = join(import.meta.dirname, "agent.mjs");

export type Part = { readonly type: string } & Readonly<Record<string, unknown>>;

type Status = "pending" | "in_progress" | "completed";

export class Agent {
	readonly #server: Server;
	readonly #socket: Promise<Socket>;
	#plans = 0;

	private constructor(server: Server) {
		this.#server = server;
		this.#socket = once(server, "connection").then(([socket]) => socket as Socket);
	}

	static async make(): Promise<Agent> {
		const server = createServer();
		server.listen(0, "127.0.0.1");
		await once(server, "listening");
		return new Agent(server);
	}

	/** What the build is to run. */
	get command(): string[] {
		const { port } = this.#server.address() as AddressInfo;
		return [process.execPath, PROGRAM, String(port)];
	}

	async say(...parts: Part[]): Promise<void> {
		const socket = await this.#socket;
		socket.write(parts.map((part) => `${JSON.stringify(part)}\n`).join(""));
	}

	/** Says how far each of the todos is. */
	async plan(todos: Readonly<Record<string, Status>>): Promise<void> {
		const list = Object.entries(todos).map(([content, status]) => ({
			content,
			activeForm: content,
			status,
		}));
		this.#plans += 1;
		const id = `plan-${this.#plans}`;
		await this.say(...call(id, "TodoWrite", { todos: list }), answer(id, "ok"));
	}

	async exit(code = 0): Promise<void> {
		const socket = await this.#socket;
		socket.write(`exit ${code}\n`);
	}

	/** Ends it, wherever it is. */
	async close(): Promise<void> {
		this.#server.close();
		const socket = await Promise.race([this.#socket, undefined]);
		socket?.destroy();
	}
}

export function call(toolCallId: string, toolName: string, input: unknown): Part[] {
	return [
		{ type: "tool-input-start", toolCallId, toolName },
		{ type: "tool-input-available", toolCallId, toolName, input },
	];
}

export function answer(toolCallId: string, output: unknown): Part {
	return { type: "tool-output-available", toolCallId, output };
}

export function failure(toolCallId: string, errorText: string): Part {
	return { type: "tool-output-error", toolCallId, errorText };
}

export function begin(id: string): Part {
	return { type: "text-start", id };
}

export function words(id: string, delta: string): Part {
	return { type: "text-delta", id, delta };
}
