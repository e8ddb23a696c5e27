/**
 * Lets a few questions go to the server at a time.
 *
 * The server answers four at once and lets others wait for ten seconds, after which it refuses them. A dashboard of many
 * panels asks more than that; here they wait as long as they must, and one can be given up while it waits.
 */

const AT_ONCE = 3;

let underWay = 0;
const waiting: (() => void)[] = [];

/** Does some work once it is its turn; rejects if it is given up before that. */
export async function inTurn<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
	await turn(signal);
	try {
		signal?.throwIfAborted();
		return await work();
	} finally {
		pass();
	}
}

/** Whose turn has ended passes it on to whoever waits longest. */
function pass(): void {
	const next = waiting.shift();
	if (next) next();
	else underWay -= 1;
}

async function turn(signal: AbortSignal | undefined): Promise<void> {
	if (underWay < AT_ONCE) {
		underWay += 1;
		return;
	}
	await new Promise<void>((resolve, reject) => {
		const giveUp = () => {
			waiting.splice(waiting.indexOf(go), 1);
			reject(signal?.reason);
		};
		const go = () => {
			signal?.removeEventListener("abort", giveUp);
			resolve();
		};
		signal?.addEventListener("abort", giveUp, { once: true });
		waiting.push(go);
	});
}
