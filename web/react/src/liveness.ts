/**
 * Whether the other end of a connection is still there. It is asked now and then; when nothing at all comes for a while
 * after that, it is not. The answers also tell the server's time.
 */
import { now, type ServerClock } from "./clock.js";
import { HEARTBEAT } from "./protocol.js";

/** How often it is asked; once more soon after the first time, when less else is on its way. In milliseconds. */
const EVERY = 20_000;
const AGAIN = 1_000;

/** How long nothing may come after a question; less when there is reason to doubt. */
const SILENCE = 10_000;
const DOUBTED_SILENCE = 3_000;

export class Liveness {
	readonly #clock: ServerClock;
	readonly #send: (text: string) => void;
	readonly #dead: () => void;
	#askedAt: number | undefined;
	#next: ReturnType<typeof setTimeout> | undefined;
	#deadline: ReturnType<typeof setTimeout> | undefined;

	/** Begins to ask with `send`; calls `dead` once, if nothing comes. */
	constructor(clock: ServerClock, send: (text: string) => void, dead: () => void) {
		this.#clock = clock;
		this.#send = send;
		this.#dead = dead;
		clock.restart();
		this.#ask(SILENCE, AGAIN);
	}

	/** Something came. */
	heard() {
		clearTimeout(this.#deadline);
		this.#deadline = undefined;
	}

	/** A heartbeat came. */
	answered(receivedAt: number, serverTime: string | undefined) {
		if (this.#askedAt === undefined) return;
		if (serverTime !== undefined) this.#clock.note(this.#askedAt, receivedAt, serverTime);
		this.#askedAt = undefined;
	}

	/** There is reason to doubt that the other end is there: asks at once, and waits less. */
	doubt() {
		this.heard();
		this.#ask(DOUBTED_SILENCE, EVERY);
	}

	/** Asks no more. */
	end() {
		this.heard();
		clearTimeout(this.#next);
	}

	#ask(silence: number, next: number) {
		clearTimeout(this.#next);
		this.#next = setTimeout(() => this.#ask(SILENCE, EVERY), next);
		// Answers come in order: the next one belongs to the first question without an answer.
		this.#askedAt ??= now();
		this.#deadline ??= setTimeout(this.#dead, silence);
		this.#send(HEARTBEAT);
	}
}
