//! The programs that agents and dev servers run: their start, and the wait for their end.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use hopline_wire::command::CommandLine as WireCommandLine;
use hopline_wire::text;
use tokio_util::sync::CancellationToken;

use super::Run;
use crate::events::Failure;
use crate::process::{
    CommandLine, Exit, ProcessError, ProcessSpec, RunningProcess, StopCause, TimeLimit, spawn,
};
use crate::trace::{Scope, keys};

/// How long the pipes of a program that has ended may stay silent before they are let go. Only a process out of the
/// guard's reach can hold them open.
const SILENCE_AFTER_END: Duration = Duration::from_secs(2);

/// As much of a command line is told on its span, in bytes: a system's longest has megabytes.
const MAX_LINE_TOLD_BYTES: usize = 4 << 10;

/// One program of a build.
pub(super) struct Program<'p> {
    pub(super) command: &'p WireCommandLine,
    pub(super) directory: PathBuf,
    pub(super) env: &'p BTreeMap<String, String>,
    pub(super) time_limit: Option<Duration>,
}

impl Program<'_> {
    /// Starts it as a child of `span`, which gets its attributes.
    pub(super) async fn start(
        self,
        run: &Run<'_>,
        span: &Scope,
    ) -> Result<RunningProcess, Failure> {
        let environment = run.environment.of_child(run.trace, span.id(), self.env)?;
        let grace = run.core.grace;
        let directory = self.directory.to_string_lossy().into_owned();
        let spec = ProcessSpec {
            command: command_line(self.command),
            directory: self.directory,
            environment,
            time_limit: self.time_limit.map(|after| TimeLimit { after, grace }),
        };
        let process = spawn(&run.core.guard, spec).await?;
        span.set(keys::PROCESS_PID, i64::from(process.pid()));
        let line = self.command.to_string();
        let line = text::prefix(&line, MAX_LINE_TOLD_BYTES).to_owned();
        span.set(keys::PROCESS_COMMAND_LINE, line);
        span.set(keys::PROCESS_DIRECTORY, directory);
        Ok(process)
    }
}

fn command_line(command: &WireCommandLine) -> CommandLine {
    match command {
        WireCommandLine::Shell(line) => CommandLine::Shell(line.clone()),
        WireCommandLine::Argv(words) => {
            CommandLine::Argv(words.iter().map(OsString::from).collect())
        }
    }
}

/// Sees a program to its end: reads its output with `pump`, and ends it when `stop` is cancelled. `pump` gets a token
/// that tells it when the program has ended (see [`idle_after`]).
pub(crate) async fn attend<P: Future<Output = ()>>(
    process: &mut RunningProcess,
    stop: &CancellationToken,
    grace: Duration,
    pump: impl FnOnce(CancellationToken) -> P,
) -> Result<Exit, ProcessError> {
    let control = process.control();
    let ended = CancellationToken::new();
    let pump = pump(ended.clone());
    let wait = async {
        let exit = process.wait().await;
        ended.cancel();
        exit
    };
    let see_to_end = async { tokio::join!(wait, pump).0 };
    let end_early = async {
        stop.cancelled().await;
        control.terminate(grace).await;
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        exit = see_to_end => exit,
        never = end_early => match never {},
    }
}

/// Waits until the program has ended and then for a while more: for the loops of pumps, which wait for output
/// meanwhile.
pub(crate) async fn idle_after(ended: &CancellationToken) {
    ended.cancelled().await;
    tokio::time::sleep(SILENCE_AFTER_END).await;
}

/// What a program's end means for its build: nothing, if it ended well.
pub(super) fn judge(name: &str, exit: &Exit, time_limit: Option<Duration>) -> Option<Failure> {
    if exit.success() {
        return None;
    }
    let signal = exit.signal.map(signal_name);
    let (code, error) = match (exit.stopped, exit.code, &signal) {
        (Some(StopCause::TimedOut), _, _) => {
            let seconds = time_limit.unwrap_or_default().as_secs();
            ("timeout", format!("{name} did not end within {seconds} s"))
        }
        (_, Some(code), _) => (
            "nonzero_exit",
            format!("{name} ended with exit code {code}"),
        ),
        (_, None, Some(signal)) => ("signal", format!("{name} was ended by {signal}")),
        (_, None, None) => ("internal", format!("{name} came to an unknown end")),
    };
    Some(Failure {
        exit_code: exit.code,
        signal,
        ..Failure::new(code, error)
    })
}

/// Notes a program's end on its span.
pub(super) fn note_exit(span: &Scope, exit: &Exit, failure: Option<&Failure>) {
    if let Some(code) = exit.code {
        span.set(keys::PROCESS_EXIT_CODE, i64::from(code));
    }
    if let Some(signal) = exit.signal {
        span.set(keys::PROCESS_EXIT_SIGNAL, signal_name(signal));
    }
    if let Some(failure) = failure {
        span.fail(failure.code, failure.error.clone());
    }
}

/// A signal's name, such as `SIGTERM`.
pub(crate) fn signal_name(signal: i32) -> String {
    signal_hook::low_level::signal_name(signal)
        .map_or_else(|| format!("signal {signal}"), str::to_owned)
}

impl From<ProcessError> for Failure {
    fn from(error: ProcessError) -> Self {
        // A shell's exit codes for a program that cannot be found or run.
        let exit_code = match &error {
            ProcessError::Spawn { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => Some(127),
                std::io::ErrorKind::PermissionDenied => Some(126),
                _ => None,
            },
            _ => None,
        };
        Self {
            exit_code,
            ..Self::new(error.code(), error.to_string())
        }
    }
}
