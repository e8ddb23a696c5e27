/** Programs that a test starts: each is waited for by what it prints, and ended by its own id. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const LONGEST_START_MS = 30_000;
const LONGEST_END_MS = 10_000;

const running = new Set<ChildProcess>();

function killAll(): void {
	for (const child of running) child.kill("SIGKILL");
}

// Should the tests themselves be ended: by Ctrl-C, by their runner, or because a file of them could not begin.
process.on("exit", killAll);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
	process.once(signal, () => {
		killAll();
		process.exit(1);
	});
}

export class Program {
	readonly #child: ChildProcess;
	/** The last of what it had to say on standard error. */
	#said = "";

	private constructor(child: ChildProcess) {
		this.#child = child;
		running.add(child);
		child.on("exit", () => running.delete(child));
		child.stderr?.on("data", (data) => {
			this.#said = (this.#said + data).slice(-8_192);
		});
	}

	/** Starts a program and waits for the first line that it prints. */
	static async start(
		command: readonly [string, ...string[]],
		env: Record<string, string> = {},
	): Promise<{ program: Program; line: string }> {
		const program = Program.run(command, env);
		const line = await program.#firstLine();
		return { program, line };
	}

	/** Starts a program that prints nothing to wait for. */
	static run(
		[file, ...args]: readonly [string, ...string[]],
		env: Record<string, string> = {},
	): Program {
		const stdio = ["ignore", "pipe", "pipe"] as const;
		return new Program(spawn(file, args, { env: { ...process.env, ...env }, stdio: [...stdio] }));
	}

	async #firstLine(): Promise<string> {
		const { stdout } = this.#child;
		if (!stdout) throw new Error("the program's output is not ours");
		const lines = createInterface({ input: stdout });
		const deadline = AbortSignal.timeout(LONGEST_START_MS);
		try {
			const ended = once(this.#child, "exit", { signal: deadline }).then(() => {
				throw new Error(`it ended before it was ready: ${this.#said}`);
			});
			const [line] = await Promise.race([once(lines, "line", { signal: deadline }), ended]);
			return String(line);
		} finally {
			lines.close();
			stdout.resume();
		}
	}

	/** Waits for its end by itself; its exit code. */
	async ended(): Promise<number | null> {
		if (this.#child.exitCode === null && this.#child.signalCode === null) {
			await once(this.#child, "exit");
		}
		return this.#child.exitCode;
	}

	/** Lets it end in order; one that does not is killed. */
	async stop(): Promise<void> {
		this.#child.kill("SIGTERM");
		const timer = setTimeout(() => this.#child.kill("SIGKILL"), LONGEST_END_MS);
		await this.ended();
		clearTimeout(timer);
	}

	/** As if the machine's power had failed. */
	async kill(): Promise<void> {
		this.#child.kill("SIGKILL");
		await this.ended();
	}
}
