//! The agent `command`: one program, its output as text under one todo.

use std::collections::BTreeMap;

use hopline_telemetry::Hop;
use hopline_wire::command::CommandLine;
use hopline_wire::text;

use super::child::{Program, attend, judge, note_exit};
use super::output::Output;
use super::parts::{RunnersPlan, Texts, simple};
use super::{Outcome, Run};
use crate::events::Failure;
use crate::trace::{Scope, short_name};

/// The longest name of the todo, in bytes.
const TODO_BYTES: usize = 200;

pub(super) async fn run(program: &CommandLine, run: &Run<'_>) -> Outcome {
    let line = program.to_string();
    let line = run.masked(&line);
    let mut plan = RunnersPlan::new([text::prefix(&line, TODO_BYTES)]);
    plan.begin(0);
    let build = run.build.id();
    let mut batch = run.emitter.batch().await;
    batch.part(build, &simple("start", &[]));
    plan.tell(&mut batch, build);
    batch.flush().await;
    drop(batch);

    let name = program_name(program);
    let name = run.masked(&name);
    let step = run.trace.open(Hop::Step, short_name(&name), build, |_| {});
    let ended = execute(program, run, &step, &name).await;
    step.end();

    let mut batch = run.emitter.batch().await;
    if ended.is_ok() {
        plan.complete();
        plan.tell(&mut batch, build);
    }
    batch.part(build, &simple("finish", &[]));
    batch.flush().await;
    Outcome {
        todos: plan.into_todos(),
        summary: format!("{name} ended well"),
        exit_code: ended.is_ok().then_some(0),
        failure: ended.err(),
    }
}

async fn execute(
    command: &CommandLine,
    run: &Run<'_>,
    step: &Scope,
    name: &str,
) -> Result<(), Failure> {
    let program = Program {
        command,
        directory: run.directory.clone(),
        env: &BTreeMap::new(),
        time_limit: run.time_limit,
    };
    let mut process = match program.start(run, step).await {
        Ok(process) => process,
        Err(failure) => {
            step.fail(failure.code, failure.error.clone());
            return Err(failure);
        }
    };
    let output = Output::of(&mut process, run.mask.as_ref());
    let exit = attend(&mut process, run.stop, run.core.grace, |mut patience| {
        let mut output = output;
        async move {
            let mut texts = Texts::new("");
            while let Some(chunk) = output.next(&mut patience).await {
                let mut batch = run.emitter.batch().await;
                texts.add(&mut batch, step.id(), &chunk);
                batch.flush().await;
            }
            let mut batch = run.emitter.batch().await;
            texts.end(&mut batch, step.id());
            batch.flush().await;
        }
    })
    .await?;
    let failure = judge(name, &exit, run.time_limit);
    note_exit(step, &exit, failure.as_ref());
    failure.map_or(Ok(()), Err)
}

/// What the program is called: the last part of its path.
fn program_name(program: &CommandLine) -> String {
    let word = match program {
        CommandLine::Argv(words) => words.first().map(String::as_str),
        CommandLine::Shell(line) => line.split_whitespace().next(),
    };
    let word = word.unwrap_or("command");
    word.rsplit('/').next().unwrap_or(word).to_owned()
}
