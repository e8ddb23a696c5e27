/**
 * One WebSocket after the other to the same place: connects, notices when the other end is gone, and connects again, at once
 * when the page has reason to believe that it works now.
 *
 * A page that nobody looks at does not try again until somebody does.
 */
import { backoff } from "./backoff.js";
import { now, type ServerClock } from "./clock.js";
import { StreamError } from "./error.js";
import { Liveness } from "./liveness.js";

/** How long a connection may take to open, in milliseconds. */
const OPENING = 10_000;

/** One that lived for so long was a good one: the next attempt does not wait long. In milliseconds. */
const GOOD_FOR = 5_000;

/** The server's close code for what trying again will not change. */
const POLICY = 1008;

export type Status = "stopped" | "connecting" | "open" | "waiting";

/** Where to connect to. */
export interface Address {
	readonly url: string;
	readonly protocols: readonly string[];
}

/** What a WebSocket is made by. */
export type SocketFactory = new (url: string, protocols: string[]) => WebSocket;

export interface ConnectionOptions {
	/** Asked before each attempt. */
	address: () => Address | Promise<Address>;
	/** A message came, at this time. */
	message: (data: unknown, receivedAt: number) => void;
	/** The status has changed; with the reason, if the connection was lost or could not be made. */
	changed: (status: Status, error?: StreamError) => void;
	clock: ServerClock;
	socket: SocketFactory;
}

export class Connection {
	readonly #options: ConnectionOptions;
	#status: Status = "stopped";
	#socket: WebSocket | undefined;
	#liveness: Liveness | undefined;
	#attempt = 0;
	#openedAt = 0;
	#timer: ReturnType<typeof setTimeout> | undefined;
	#page: AbortController | undefined;

	constructor(options: ConnectionOptions) {
		this.#options = options;
	}

	get status(): Status {
		return this.#status;
	}

	/** Connects, and stays connected as well as it can, until {@link stop}. */
	start() {
		if (this.#status !== "stopped") return;
		this.#attempt = 0;
		this.#watchPage();
		void this.#connect();
	}

	/** Ends the connection. */
	stop() {
		this.#page?.abort();
		this.#page = undefined;
		this.#letGo();
		this.#set("stopped");
	}

	/** Connects anew, at once. */
	restart() {
		this.stop();
		this.start();
	}

	/** Sends a message, if there is a connection. */
	send(text: string) {
		const socket = this.#socket;
		if (socket?.readyState === socket?.OPEN) socket?.send(text);
	}

	/** A heartbeat of the server's came. */
	answered(receivedAt: number, serverTime: string | undefined) {
		this.#liveness?.answered(receivedAt, serverTime);
	}

	async #connect() {
		this.#letGo();
		const page = this.#page;
		this.#set("connecting");
		let address: Address;
		try {
			address = await this.#options.address();
		} catch (cause) {
			if (page !== this.#page || this.#socket) return;
			this.#lost(new StreamError("token", "no token could be had for live updates", { cause }));
			return;
		}
		// Stopped or started anew in the meantime.
		if (page === undefined || page !== this.#page || this.#socket) return;
		this.#open(address);
	}

	#open({ url, protocols }: Address) {
		const unreachable = () => this.#lost(new StreamError("unreachable", "the server is away"));
		let socket: WebSocket;
		try {
			socket = new this.#options.socket(url, [...protocols]);
		} catch {
			unreachable();
			return;
		}
		this.#socket = socket;
		this.#timer = setTimeout(unreachable, OPENING);
		socket.onopen = () => {
			clearTimeout(this.#timer);
			this.#openedAt = now();
			this.#set("open");
			this.#liveness = new Liveness(this.#options.clock, (text) => this.send(text), unreachable);
		};
		socket.onmessage = ({ data }) => {
			const receivedAt = now();
			this.#liveness?.heard();
			this.#options.message(data, receivedAt);
		};
		socket.onclose = ({ code, reason }) => {
			if (code === POLICY) this.#end(new StreamError("gone", reason || "the build is gone"));
			else unreachable();
		};
	}

	/** Tries again after a while. */
	#lost(error: StreamError) {
		if (this.#status === "open" && now() - this.#openedAt >= GOOD_FOR) this.#attempt = 0;
		this.#letGo();
		this.#set("waiting", error);
		if (document.visibilityState === "hidden") return;
		this.#timer = setTimeout(() => void this.#connect(), backoff(this.#attempt));
		this.#attempt += 1;
	}

	/** Does not try again by itself. */
	#end(error: StreamError) {
		this.#page?.abort();
		this.#page = undefined;
		this.#letGo();
		this.#set("stopped", error);
	}

	#letGo() {
		clearTimeout(this.#timer);
		this.#liveness?.end();
		this.#liveness = undefined;
		const socket = this.#socket;
		this.#socket = undefined;
		if (!socket) return;
		socket.onopen = null;
		socket.onmessage = null;
		socket.onclose = null;
		socket.close();
	}

	#set(status: Status, error?: StreamError) {
		if (status === this.#status && !error) return;
		this.#status = status;
		this.#options.changed(status, error);
	}

	/** Listens to what the page says of the network and of being looked at. */
	#watchPage() {
		this.#page = new AbortController();
		const { signal } = this.#page;
		const again = () => {
			if (this.#status === "open") this.#liveness?.doubt();
			else if (this.#status === "waiting" && document.visibilityState !== "hidden") {
				this.#attempt = 0;
				void this.#connect();
			}
		};
		window.addEventListener("online", again, { signal });
		window.addEventListener("offline", () => this.#liveness?.doubt(), { signal });
		document.addEventListener("visibilitychange", again, { signal });
		// A page that is kept for "back" may have no connection.
		window.addEventListener("pagehide", () => this.#pause(), { signal });
		window.addEventListener("pageshow", ({ persisted }) => persisted && again(), { signal });
	}

	#pause() {
		this.#letGo();
		this.#set("waiting");
	}
}
