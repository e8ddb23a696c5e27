/** A build as an agent makes them: a plan, tools with colours in what they print, a test that fails and is mended. */
import { setTimeout } from "node:timers/promises";
import { Agent, answer, begin, call, failure, words } from "./agent.ts";
import type { Build, Hopline } from "./hopline.ts";

const RED = "\u001b[31m";
const GREEN = "\u001b[32m";
const BOLD = "\u001b[1m";
const PLAIN = "\u001b[0m";

const TODOS = ["Read the parser", "Accept trailing commas", "Test it", "Write the change down"];

const SOURCE = `fn list(&mut self) -> Result<Vec<Value>, Mistake> {
    let mut values = Vec::new();
    self.expect(Token::Open)?;
    while !self.take(Token::Close)? {
        values.push(self.value()?);
        if !self.take(Token::Comma)? {
            self.expect(Token::Close)?;
            break;
        }
    }
    Ok(values)
}`;

const FAILED = `${BOLD}running 4 tests${PLAIN}
test an_empty_list ... ${GREEN}ok${PLAIN}
test a_list_of_lists ... ${GREEN}ok${PLAIN}
test a_trailing_comma ... ${RED}FAILED${PLAIN}
test a_missing_bracket ... ${GREEN}ok${PLAIN}

expected Close at 1:9, found end of text`;

const PASSED = FAILED.split("\n").slice(0, 5).join("\n").replace(`${RED}FAILED`, `${GREEN}ok`);

/** Begins it, as far as the third of its todos; `finish` takes it to its end. */
export async function realisticBuild(hopline: Hopline, project: string, pace = 0) {
	const agent = await Agent.make();
	/** Takes a while, as tools do. Nothing waits for it but pictures. */
	const work = (paces: number) => setTimeout(pace * paces);
	const build: Build = await hopline.build(project, {
		agent: "stream",
		command: agent.command,
		prompt: "Accept trailing commas in lists",
	});
	await plan(agent, 0);
	await say(agent, "t1", "I will look at how lists are parsed today.");
	await agent.say(...call("grep", "Grep", { pattern: "fn list", path: "src" }));
	await work(1);
	await agent.say(answer("grep", "src/parse.rs:112:fn list(&mut self)"));
	await agent.say(...call("read", "Read", { file: "src/parse.rs", from: 112, to: 124 }));
	await work(1);
	await agent.say(answer("read", SOURCE));
	await plan(agent, 1);
	await agent.say(
		...call("edit", "Edit", { file: "src/parse.rs", insert: "if self.peek()? == Close" }),
	);
	await work(2);
	await agent.say(answer("edit", "1 change in src/parse.rs"));
	await plan(agent, 2);
	await agent.say(...call("test-1", "Bash", { command: "cargo test list" }));
	await work(6);
	await agent.say(failure("test-1", FAILED));
	await say(agent, "t2", "One test fails: the bracket after the comma was taken twice.");
	await agent.say(...call("test-2", "Bash", { command: "cargo test list -- --nocapture" }));

	const finish = async () => {
		await work(5);
		await agent.say(answer("test-2", PASSED));
		await plan(agent, 3);
		await agent.say(
			...call("write", "Edit", { file: "CHANGELOG.md" }),
			answer("write", "1 change"),
		);
		await plan(agent, TODOS.length);
		await say(agent, "t3", "Lists may now end with a comma.");
		await agent.exit();
		await agent.close();
	};
	return { ...build, agent, finish };
}

/** Writes the plan with so many todos done. */
async function plan(agent: Agent, done: number): Promise<void> {
	const status = (at: number) =>
		at < done ? "completed" : at === done ? "in_progress" : "pending";
	await agent.plan(Object.fromEntries(TODOS.map((todo, at) => [todo, status(at)])));
}

async function say(agent: Agent, id: string, text: string): Promise<void> {
	await agent.say(begin(id), words(id, text), { type: "text-end", id });
}
