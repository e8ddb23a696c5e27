//! Agents: what a build runs, and how its output becomes the parts of a stream.
//!
//! * [`command`](self::command): one program; its output is text under one todo named after it.
//! * [`steps`]: programs one after the other; each is a todo, a tool call and a span, its output text.
//! * [`stream`]: a program that writes parts itself, one JSON object a line (bare, or after `data: `). They are sent
//!   as they are; any other line is text.
//!
//! Texts have the id `stdout` or `stderr` after the program that wrote it (`step-2-stderr`), so that the two can be told
//! apart. Whoever runs a program here reads its pipes only as fast as the outbox takes the events.

mod capture;
mod child;
mod command;
mod environment;
mod output;
mod parts;
mod steps;
mod stream;
mod tools;

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use hopline_wire::command::{CommandLine, StartBuild, Step};
use hopline_wire::part::Todo;
use tokio_util::sync::CancellationToken;

pub(crate) use child::{Patience, attend, signal_name};
pub(crate) use environment::BaseEnvironment;

use crate::commands::Core;
use crate::events::{Emitter, Failure};
use crate::mask::Mask;
use crate::stepfile;
use crate::trace::{CommandTrace, Scope};

/// The names of the agents there are.
pub(crate) const AGENTS: [&str; 3] = ["command", "steps", "stream"];

/// What a build is to run.
pub(crate) enum Agent {
    Command(CommandLine),
    Steps(Vec<Step>),
    Stream(CommandLine),
}

impl Agent {
    /// The agent of a payload; one that names none gets the one it brings the members for.
    pub(crate) fn of(payload: &StartBuild) -> Result<Self, Failure> {
        let bad = |error: String| Failure::new("bad_command", error);
        let name = match payload.agent.as_str() {
            "" if payload.steps.is_some() => "steps",
            "" => "command",
            name => name,
        };
        let program = || match &payload.command {
            Some(CommandLine::Shell(line)) if !line.trim().is_empty() => {
                Ok(CommandLine::Shell(line.clone()))
            }
            Some(CommandLine::Argv(words))
                if words.first().is_some_and(|word| !word.is_empty()) =>
            {
                Ok(CommandLine::Argv(words.clone()))
            }
            _ => Err(bad(format!(
                "the agent {name} expected command to be a line for the shell or a list of words"
            ))),
        };
        match name {
            "command" => Ok(Self::Command(program()?)),
            "stream" => Ok(Self::Stream(program()?)),
            "steps" => {
                let steps = payload.steps.clone().unwrap_or_default();
                stepfile::check(&steps).map_err(bad)?;
                Ok(Self::Steps(steps))
            }
            other => {
                let other = hopline_wire::text::prefix(other, 128);
                let names = AGENTS.join(", ");
                Err(bad(format!(
                    "unknown agent {other:?}; expected one of {names}"
                )))
            }
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Steps(_) => "steps",
            Self::Stream(_) => "stream",
        }
    }
}

/// What an agent works with.
pub(crate) struct Run<'c> {
    pub(crate) core: &'c Core,
    pub(crate) emitter: &'c Emitter,
    pub(crate) trace: &'c CommandTrace,
    /// `runner.build`.
    pub(crate) build: &'c Scope,
    pub(crate) slug: String,
    pub(crate) directory: PathBuf,
    /// What every child of the build gets; each adds its own place in the trace.
    pub(crate) environment: BaseEnvironment,
    /// What is not to be said.
    pub(crate) mask: Option<Mask>,
    /// Is cancelled when the build is to stop.
    pub(crate) stop: &'c CancellationToken,
    /// Of the agents `command` and `stream`; steps have their own.
    pub(crate) time_limit: Option<Duration>,
}

impl Run<'_> {
    /// A text that is to be cut: without secrets, so that no half of one is left.
    fn masked<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mask = self.mask.as_ref();
        mask.map_or(text.into(), |mask| mask.text(text))
    }
}

/// How an agent's run ended.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The plan as it stood last.
    pub(crate) todos: Vec<Todo>,
    /// A sentence for people.
    pub(crate) summary: String,
    pub(crate) exit_code: Option<i32>,
    pub(crate) failure: Option<Failure>,
}

/// Runs an agent to its end.
pub(crate) async fn run(agent: &Agent, run: &Run<'_>) -> Outcome {
    match agent {
        Agent::Command(program) => command::run(program, run).await,
        Agent::Steps(steps) => steps::run(steps, run).await,
        Agent::Stream(program) => stream::run(program, run).await,
    }
}
