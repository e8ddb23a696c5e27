// An agent that does as a test tells it: it prints each line that comes through a socket, and ends with the code that
// `exit CODE` names. Its argument is the port on which the test waits for it.
import { connect } from "node:net";
import { createInterface } from "node:readline";

const socket = connect(Number(process.argv[2]), "127.0.0.1");
createInterface({ input: socket }).on("line", (line) => {
	const [, code] = /^exit (\d+)$/.exec(line) ?? [];
	if (code === undefined) process.stdout.write(`${line}\n`);
	else process.stdout.write("", () => process.exit(Number(code)));
});
socket.on("close", () => process.exit(0));
