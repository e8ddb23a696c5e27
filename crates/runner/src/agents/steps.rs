//! The agent `steps`: programs one after the other, up to the first that fails. Each is a todo, a tool call under it,
//! and a span; its output is text while it runs, and in the call's answer beginning and end of it.

use std::time::Duration;

use hopline_telemetry::Hop;
use hopline_telemetry::tracer::set;
use hopline_wire::command::Step;

use super::capture::Capture;
use super::child::{Patience, Program, attend, judge, note_exit, signal_name};
use super::output::Output;
use super::parts::{RunnersPlan, Texts, simple, tool_input, tool_output};
use super::{Outcome, Run};
use crate::events::Failure;
use crate::process::Exit;
use crate::trace::{Scope, keys, short_name};

pub(super) async fn run(steps: &[Step], run: &Run<'_>) -> Outcome {
    let build = run.build.id();
    let mut plan = RunnersPlan::new(steps.iter().map(|step| step.name.as_str()));
    let mut failure = None;
    for (index, step) in steps.iter().enumerate() {
        plan.begin(index);
        let mut batch = run.emitter.batch().await;
        if index == 0 {
            batch.part(build, &simple("start", &[]));
        }
        plan.tell(&mut batch, build);
        batch.flush().await;
        drop(batch);
        if run.stop.is_cancelled() {
            failure = Some(Failure::new("cancelled", "stopped between two steps"));
        } else {
            failure = take_step(index, step, run).await.err();
        }
        if failure.is_some() {
            break;
        }
    }
    let mut batch = run.emitter.batch().await;
    if failure.is_none() {
        plan.complete();
        plan.tell(&mut batch, build);
    }
    batch.part(build, &simple("finish", &[]));
    batch.flush().await;
    Outcome {
        todos: plan.into_todos(),
        summary: match steps.len() {
            1 => "1 step ended well".to_owned(),
            count => format!("{count} steps ended well"),
        },
        exit_code: failure.is_none().then_some(0),
        failure,
    }
}

/// Runs one step: its span, its call, its output, its answer.
async fn take_step(index: usize, step: &Step, run: &Run<'_>) -> Result<(), Failure> {
    let number = index + 1;
    let call = format!("step-{number}");
    let span = run.trace.open(
        Hop::Step,
        short_name(&run.masked(&step.name)),
        run.build.id(),
        |span| {
            set(span, keys::STEP_INDEX, number as i64);
        },
    );
    let mut batch = run.emitter.batch().await;
    let input = tool_input(&call, &step.name, Some(index), |input| {
        input.value("run", &step.run);
        input.text("cwd", step.cwd.as_deref().unwrap_or("."));
    });
    batch.part(span.id(), &input);
    batch.flush().await;
    drop(batch);

    let ended = execute(&call, step, run, &span).await;
    let mut batch = run.emitter.batch().await;
    let result = match ended {
        Ok((exit, output)) => {
            let name = format!("step {:?}", step.name);
            let failure = judge(&name, &exit, step.timeout_seconds.map(Duration::from_secs));
            note_exit(&span, &exit, failure.as_ref());
            batch.part(span.id(), &answer(&call, &exit, output));
            failure.map_or(Ok(()), Err)
        }
        Err(failure) => {
            span.fail(failure.code, failure.error.clone());
            let error = [("toolCallId", call.as_str()), ("errorText", &failure.error)];
            batch.part(span.id(), &simple("tool-output-error", &error));
            Err(failure)
        }
    };
    span.end();
    batch.flush().await;
    result
}

async fn execute(
    call: &str,
    step: &Step,
    run: &Run<'_>,
    span: &Scope,
) -> Result<(Exit, Capture), Failure> {
    let directory = match step.cwd.as_deref() {
        None | Some("" | ".") => run.directory.clone(),
        Some(cwd) => run.core.workspace.cwd_within(&run.slug, cwd)?,
    };
    let program = Program {
        command: &step.run,
        directory,
        env: &step.env,
        time_limit: step.timeout_seconds.map(Duration::from_secs),
    };
    let mut process = program.start(run, span).await?;
    let output = Output::of(&mut process, run.mask.as_ref());
    let mut captured = Capture::default();
    let exit = attend(&mut process, run.stop, run.core.grace, |patience| {
        pump(call, run, span, output, &mut captured, patience)
    })
    .await?;
    Ok((exit, captured))
}

async fn pump(
    call: &str,
    run: &Run<'_>,
    span: &Scope,
    mut output: Output,
    captured: &mut Capture,
    mut patience: Patience,
) {
    let mut texts = Texts::new(&format!("{call}-"));
    while let Some(chunk) = output.next(&mut patience).await {
        captured.push(&chunk);
        let mut batch = run.emitter.batch().await;
        texts.add(&mut batch, span.id(), &chunk);
        batch.flush().await;
    }
    let mut batch = run.emitter.batch().await;
    texts.end(&mut batch, span.id());
    batch.flush().await;
}

fn answer(call: &str, exit: &Exit, captured: Capture) -> String {
    tool_output(call, |output| {
        output.value("exitCode", &exit.code);
        if let Some(signal) = exit.signal {
            output.text("signal", &signal_name(signal));
        }
        let millis = u64::try_from(exit.ran_for.as_millis()).unwrap_or(u64::MAX);
        output.value("durationMs", &millis);
        captured.write(output);
    })
}
