//! The programs that agents and dev servers run: their start, and the wait for their end.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use hopline_wire::command::CommandLine as WireCommandLine;
use hopline_wire::text;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Run;
use crate::events::Failure;
use crate::process::{
    CommandLine, Exit, ProcessError, ProcessSpec, RunningProcess, StopCause, TimeLimit, spawn,
};
use crate::trace::{Scope, keys};

/// How long the output of a program that has ended is waited for, in all, before its pipes are let go. Only a process
/// out of the guard's reach can hold them open. Time in which the outbox takes nothing does not count.
const WAIT_AFTER_END: Duration = Duration::from_secs(2);

/// How much of the output of a program that has ended is taken in, in bytes: more than pipes and lines can hold.
const BYTES_AFTER_END: usize = 16 << 20;

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
        let line = text::prefix(&run.masked(&line), MAX_LINE_TOLD_BYTES).to_owned();
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

/// Sees a program to its end: reads its output with `pump`, and ends it when `stop` is cancelled. `pump` waits for the
/// output by what it gets, and so comes to its own end soon after the program's, whoever holds the pipes.
pub(crate) async fn attend<P: Future<Output = ()>>(
    process: &mut RunningProcess,
    stop: &CancellationToken,
    grace: Duration,
    pump: impl FnOnce(Patience) -> P,
) -> Result<Exit, ProcessError> {
    let control = process.control();
    let ended = CancellationToken::new();
    let pump = pump(Patience::until(ended.clone()));
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

/// How long a pump goes on waiting for its program's output: for ever while the program runs; after its end for a
/// bounded time and a bounded number of bytes, both over all waits together.
pub(crate) struct Patience {
    ended: CancellationToken,
    wait: Duration,
    bytes: usize,
    /// Whether its end was logged.
    logged: bool,
}

impl Patience {
    fn until(ended: CancellationToken) -> Self {
        Self {
            ended,
            wait: WAIT_AFTER_END,
            bytes: BYTES_AFTER_END,
            logged: false,
        }
    }

    /// What `output` comes to; none when the program has ended and it has been waited for long enough.
    pub(crate) async fn wait<T>(&mut self, output: impl Future<Output = T>) -> Option<T> {
        let mut output = std::pin::pin!(output);
        tokio::select! {
            biased;
            () = self.ended.cancelled() => {}
            output = &mut output => return Some(output),
        }
        if self.bytes == 0 {
            return self.over();
        }
        let since = Instant::now();
        // What is there already comes even when no time is left.
        let output = tokio::time::timeout(self.wait, output).await;
        self.wait = self.wait.saturating_sub(since.elapsed());
        match output {
            Ok(output) => Some(output),
            Err(_) => self.over(),
        }
    }

    /// Counts what was taken in.
    pub(crate) fn took(&mut self, bytes: usize) {
        if self.ended.is_cancelled() {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    fn over<T>(&mut self) -> Option<T> {
        if !std::mem::replace(&mut self.logged, true) {
            tracing::warn!(
                "a process out of reach holds the pipes of a program that has ended; they are let go"
            );
        }
        None
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn output_is_waited_for_as_long_as_the_program_runs_and_then_in_bounds() {
        tokio::time::pause();
        let ended = CancellationToken::new();
        let mut patience = Patience::until(ended.clone());
        let slow = || tokio::time::sleep(WAIT_AFTER_END / 2);
        for _ in 0..10 {
            patience.took(BYTES_AFTER_END);
            assert!(patience.wait(slow()).await.is_some());
        }
        ended.cancel();
        assert!(patience.wait(slow()).await.is_some());
        assert!(patience.wait(slow()).await.is_none(), "waits add up");
        let there = std::future::ready(());
        assert!(patience.wait(there.clone()).await.is_some());
        patience.took(BYTES_AFTER_END);
        assert!(patience.wait(there).await.is_none(), "bytes add up");
    }

    #[tokio::test]
    async fn an_end_during_a_wait_bounds_that_wait_too() {
        tokio::time::pause();
        let ended = CancellationToken::new();
        let mut patience = Patience::until(ended.clone());
        let silence = patience.wait(std::future::pending::<()>());
        let end = async {
            tokio::time::sleep(10 * WAIT_AFTER_END).await;
            ended.cancel();
        };
        assert_eq!(tokio::join!(silence, end).0, None);
    }
}
