//! `start-build`: from the payload to the one event that ends the build.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use hopline_telemetry::Hop;
use hopline_telemetry::tracer::set;
use hopline_wire::command::StartBuild;
use hopline_wire::event::{CompletedPayload, CompletedTodo, EventType};
use hopline_wire::part::Todo;
use hopline_wire::span::Text;

use super::{BuildControl, Context, StopReason, metadata};
use crate::agents::{self, Agent, Outcome, Run};
use crate::events::Failure;
use crate::mask::{self, Mask};
use crate::stepfile::BAD_TIMEOUT;
use crate::trace::keys;

/// Runs a build to its end.
///
/// # Errors
/// Why it could not begin; then nothing has ended it yet.
pub(super) async fn start(context: &Context, control: &BuildControl) -> Result<(), Failure> {
    let payload: StartBuild = context.payload()?;
    let agent = Agent::of(&payload)?;
    describe(context, &payload, &agent);
    let slug = match payload.project_slug.as_str() {
        "" => context.project_id().to_owned(),
        slug => slug.to_owned(),
    };
    let directory = project_folder(context, &slug).await?;
    let time_limit = match agent {
        Agent::Steps(_) => None,
        Agent::Command(_) | Agent::Stream(_) => time_limit(&payload)?,
    };
    let environment = agents::BaseEnvironment::of_build(&context.core, &payload.more)?;
    let mask = match context.core.mask_secrets {
        true => secrets(&payload, &environment)?,
        false => None,
    };
    if let Some(mask) = &mask {
        context.emitter.mask_with(mask.clone());
        context.trace.mask_with(mask.clone());
    }
    let build = context
        .trace
        .open(Hop::Build, Text::EMPTY, context.span(), |span| {
            set(span, keys::AGENT, agent.name());
        });
    let run = Run {
        core: &context.core,
        emitter: &context.emitter,
        trace: &context.trace,
        build: &build,
        slug,
        directory: directory.clone(),
        environment,
        mask: mask.clone(),
        stop: control.stop_token(),
        time_limit,
    };
    let outcome = Box::pin(agents::run(&agent, &run)).await;
    let mut outcome = outcome.stopped(control.conclude());
    if let (Some(mask), Some(failure)) = (&mask, &mut outcome.failure) {
        // For the log, too.
        failure.error = mask.text(&failure.error).into_owned();
    }
    match &outcome.failure {
        Some(failure) => build.fail(failure.code, failure.error.clone()),
        None => build.set(
            keys::PROCESS_EXIT_CODE,
            i64::from(outcome.exit_code.unwrap_or(0)),
        ),
    }
    build.end();
    tell_metadata(context, directory).await;
    tell_end(context, outcome).await;
    Ok(())
}

/// What is secret among the variables of a build's programs.
fn secrets(
    payload: &StartBuild,
    environment: &agents::BaseEnvironment,
) -> Result<Option<Mask>, Failure> {
    let named = mask::named(&payload.more)?;
    let steps = payload.steps.iter().flatten();
    let own = steps.flat_map(|step| &step.env);
    let own = own.map(|(name, value)| (name.as_str(), Cow::from(value)));
    Mask::of(environment.variables().chain(own), &named)
}

/// How long the program of a build may run.
fn time_limit(payload: &StartBuild) -> Result<Option<Duration>, Failure> {
    let given = payload.more.get("timeoutSeconds");
    let Some(given) = given.filter(|given| !given.is_null()) else {
        return Ok(None);
    };
    let seconds = given.as_u64().filter(|seconds| *seconds > 0);
    let seconds = seconds.ok_or_else(|| Failure::new("bad_command", BAD_TIMEOUT))?;
    Ok(Some(Duration::from_secs(seconds)))
}

/// OpenTelemetry's attributes of a pipeline's run (semantic conventions, "CICD").
fn describe(context: &Context, payload: &StartBuild, agent: &Agent) {
    let span = &context.handled;
    let name = match payload.project_name.as_str() {
        "" => &payload.project_slug,
        name => name,
    };
    span.set(keys::PIPELINE_NAME, crate::trace::short_name(name));
    span.set(keys::PIPELINE_ACTION, "BUILD");
    span.set(keys::PIPELINE_RUN_ID, context.command.id.clone());
    span.set(keys::PIPELINE_RUN_STATE, "executing");
    span.set(keys::AGENT, agent.name());
}

async fn project_folder(context: &Context, slug: &str) -> Result<PathBuf, Failure> {
    let (workspace, slug) = (context.core.workspace.clone(), slug.to_owned());
    let made = tokio::task::spawn_blocking(move || workspace.ensure_project(&slug)).await;
    let made =
        made.map_err(|_| Failure::new("internal", "making the project's folder broke off"))?;
    Ok(made?)
}

/// Tells what kind of project the build has left; nobody waits for it, so a failure is only logged.
async fn tell_metadata(context: &Context, directory: PathBuf) {
    let Ok(metadata) = tokio::task::spawn_blocking(move || metadata::detect(&directory)).await
    else {
        return;
    };
    let sent = context
        .emitter
        .event(EventType::ProjectMetadata, context.span(), |members| {
            members.value("payload", &metadata);
        })
        .await;
    if let Err(error) = sent {
        tracing::warn!(trace_id = %context.trace_id(), command = %context.command.id, "project-metadata was left out: {error}");
    }
}

async fn tell_end(context: &Context, outcome: Outcome) {
    let span = &context.handled;
    span.set(keys::PIPELINE_RUN_STATE, "finalizing");
    span.set(keys::PIPELINE_RESULT, result(outcome.failure.as_ref()));
    if let Some(failure) = &outcome.failure {
        span.fail(failure.code, failure.error.clone());
        tracing::info!(
            trace_id = %context.trace_id(),
            command = %context.command.id,
            code = failure.code,
            error = %failure.error,
            "build failed"
        );
        context
            .emitter
            .failure(EventType::BuildFailed, context.span(), failure)
            .await;
        return;
    }
    tracing::info!(trace_id = %context.trace_id(), command = %context.command.id, "build completed");
    let mut payload = CompletedPayload {
        todos: outcome.todos.iter().enumerate().map(completed).collect(),
        summary: Some(outcome.summary),
    };
    let tell = async |payload: &CompletedPayload| {
        context
            .emitter
            .event(EventType::BuildCompleted, context.span(), |members| {
                members.value("payload", payload);
                if let Some(code) = outcome.exit_code {
                    members.value("exitCode", &code);
                }
            })
            .await
    };
    if tell(&payload).await.is_ok() {
        return;
    }
    // A plan too long for an event was never told by one either.
    payload.todos.clear();
    if tell(&payload).await.is_ok() {
        return;
    }
    payload.summary = None;
    if let Err(error) = tell(&payload).await {
        tracing::error!(command = %context.command.id, "a build's end was not told: {error}");
    }
}

fn completed((index, todo): (usize, &Todo)) -> CompletedTodo {
    CompletedTodo {
        id: format!("todo-{index}").into(),
        title: todo.content.clone(),
        status: todo.status.as_str().to_owned(),
    }
}

/// The outcome in OpenTelemetry's words.
fn result(failure: Option<&Failure>) -> &'static str {
    match failure.map(|failure| failure.code) {
        None => "success",
        Some("timeout") => "timeout",
        Some("cancelled" | "runner_stopped") => "cancellation",
        Some("nonzero_exit" | "signal") => "failure",
        Some(_) => "error",
    }
}

impl Outcome {
    /// The outcome, if somebody asked the build to stop before it came to its end.
    fn stopped(mut self, reason: Option<StopReason>) -> Self {
        let (code, error) = match reason {
            None => return self,
            // The format fixes this word.
            Some(StopReason::Cancelled) => ("cancelled", "cancelled"),
            Some(StopReason::RunnerStops) => ("runner_stopped", "the runner was stopped"),
        };
        let ended = self.failure.take().unwrap_or_default();
        self.failure = Some(Failure {
            exit_code: ended.exit_code,
            signal: ended.signal,
            ..Failure::new(code, error)
        });
        self
    }
}
