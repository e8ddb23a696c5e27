//! Starting, watching and ending programs, each under a [guard](crate::guard).
//!
//! [`spawn`] returns once the program runs, or says why it could not. The [`RunningProcess`] it
//! returns owns the program: dropping it, or the whole runner's death, ends the program and
//! everything the program has started. What this module leaves to its callers: reading the output
//! (a program whose pipes nobody reads stands still; see [`output`](crate::output)), and choosing
//! the [`Environment`] and the directory.

mod environment;
mod supervisor;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::process::{ChildStderr, ChildStdout, Command};
use tokio::sync::{mpsc, watch};

pub use environment::{Environment, InvalidVariable};

use crate::guard::GuardCommand;
use supervisor::{Outcome, Supervisor};

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// A program, looked up in the child's `PATH`, and its arguments; taken literally.
    Argv(Vec<OsString>),
    /// A line for `sh -c`.
    Shell(String),
}

impl CommandLine {
    /// The words the guard starts.
    fn words(&self) -> Vec<OsString> {
        match self {
            Self::Argv(words) => words.clone(),
            Self::Shell(line) => vec!["sh".into(), "-c".into(), line.into()],
        }
    }
}

/// The line as a reader would type it, roughly: for messages and names, not for a shell.
impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shell(line) => f.write_str(line),
            Self::Argv(words) => {
                for (index, word) in words.iter().enumerate() {
                    let space = if index == 0 { "" } else { " " };
                    write!(f, "{space}{}", word.to_string_lossy())?;
                }
                Ok(())
            }
        }
    }
}

/// How long a program may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimit {
    /// From the program's start to its SIGTERM.
    pub after: Duration,
    /// From the SIGTERM to the SIGKILL.
    pub grace: Duration,
}

/// A program to start.
#[derive(Debug, Clone)]
pub struct ProcessSpec {
    /// What is run.
    pub command: CommandLine,
    /// Its working directory, which must exist. `PWD` is set to it.
    pub directory: PathBuf,
    /// Its whole environment, `PWD` aside.
    pub environment: Environment,
    /// How long it may run; `None`: for ever.
    pub time_limit: Option<TimeLimit>,
}

/// Why a program could not be started, or its end not be learnt.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The command is empty, or holds a NUL byte.
    #[error("invalid command: {0}")]
    InvalidCommand(&'static str),
    /// The working directory cannot be used.
    #[error("cannot use the working directory {}: {source}", directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program could not be started: not found, not executable, too many arguments, and the
    /// like.
    #[error("cannot run {program}: {source}")]
    Spawn {
        /// The program's name as given.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The guard could not be started, so nothing was.
    #[error("cannot start the guard process: {0}")]
    Guard(#[source] io::Error),
    /// The guard was killed. The program has been killed with it; how it would have ended is not
    /// known.
    #[error("the guard process was lost, and the program killed with it")]
    GuardLost,
}

impl ProcessError {
    /// A stable word for programs, as the wire's `code` field carries it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidCommand(_) => "invalid_command",
            Self::Directory { .. } => "invalid_directory",
            Self::Spawn { .. } => "spawn_failed",
            Self::Guard(_) => "guard_failed",
            Self::GuardLost => "guard_lost",
        }
    }
}

/// Who ended a program that did not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopCause {
    /// It was [terminated](ProcessControl::terminate) or [killed](ProcessControl::kill).
    Requested,
    /// It ran into its [`TimeLimit`].
    TimedOut,
}

/// How a program ended. Exactly one of `code` and `signal` is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, 0 to 255.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// What it was asked to end for, if it was before it ended. It may have ended with code 0 all
    /// the same.
    pub stopped: Option<StopCause>,
    /// From its start to its end.
    pub ran_for: Duration,
}

impl Exit {
    /// Whether it ended by itself with code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0) && self.stopped.is_none()
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => f.write_str("an unknown end"),
        }?;
        match self.stopped {
            Some(StopCause::TimedOut) => f.write_str(" after its time was up"),
            Some(StopCause::Requested) => f.write_str(" after a request to stop"),
            None => Ok(()),
        }
    }
}

/// What a handle asks of the supervisor.
#[derive(Debug, Clone, Copy)]
enum StopRequest {
    Terminate { grace: Duration },
    Kill,
}

/// Ends a program from elsewhere; does not keep it alive.
#[derive(Debug, Clone)]
pub struct ProcessControl {
    requests: mpsc::Sender<StopRequest>,
}

impl ProcessControl {
    /// Asks the program's process group to end (SIGTERM), and kills all that is left after `grace`.
    /// Returns at once; [`RunningProcess::wait`] tells the end. A second call can only shorten the
    /// grace.
    pub async fn terminate(&self, grace: Duration) {
        // A closed channel means that the program has ended.
        let _ = self.requests.send(StopRequest::Terminate { grace }).await;
    }

    /// Kills the program (SIGKILL) and all that it has started.
    pub async fn kill(&self) {
        let _ = self.requests.send(StopRequest::Kill).await;
    }
}

/// A program that runs, and its owner: dropped, it takes the program with it.
#[derive(Debug)]
pub struct RunningProcess {
    pid: u32,
    /// What the program writes to its standard output; `None` once taken.
    pub stdout: Option<ChildStdout>,
    /// What the program writes to its standard error; `None` once taken.
    pub stderr: Option<ChildStderr>,
    control: ProcessControl,
    outcome: watch::Receiver<Option<Outcome>>,
    /// The supervisor lets go of the guard when this is dropped.
    _owner: tokio_util::sync::DropGuard,
}

impl RunningProcess {
    /// The program's process id, and its process group's.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// A handle to end it by.
    pub fn control(&self) -> ProcessControl {
        self.control.clone()
    }

    /// Waits until the program has ended and nothing that it started is left. May be called again.
    ///
    /// Output may still wait in the pipes. Whoever reads them reaches their end soon after.
    ///
    /// # Errors
    /// [`ProcessError::GuardLost`], when the guard died first.
    pub async fn wait(&mut self) -> Result<Exit, ProcessError> {
        match self.outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Outcome::Ended(exit))) => Ok(*exit),
            // The sender is only ever dropped without an outcome when the runtime goes down.
            Ok(Some(Outcome::GuardLost) | None) | Err(_) => Err(ProcessError::GuardLost),
        }
    }
}

/// Starts a program under a guard; returns when it runs.
///
/// # Errors
/// Every [`ProcessError`] but [`ProcessError::GuardLost`]; nothing is left running then.
pub async fn spawn(
    guard: &GuardCommand,
    spec: ProcessSpec,
) -> Result<RunningProcess, ProcessError> {
    let words = spec.command.words();
    check_words(&words)?;
    check_directory(&spec.directory)?;
    let (control, guard_end) =
        std::os::unix::net::UnixStream::pair().map_err(ProcessError::Guard)?;
    control.set_nonblocking(true).map_err(ProcessError::Guard)?;
    let control = UnixStream::from_std(control).map_err(ProcessError::Guard)?;

    let program = words[0].to_string_lossy().into_owned();
    let mut child = guard_command(guard, &spec, &words, guard_end)
        .spawn()
        .map_err(|source| {
            // Arguments and environment are the program's, so their being too much for one exec is
            // its failure.
            if source.kind() == io::ErrorKind::ArgumentListTooLong {
                return ProcessError::Spawn {
                    program: program.clone(),
                    source,
                };
            }
            ProcessError::Guard(source)
        })?;
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let (requests, stops) = mpsc::channel(4);
    let (outcome_sender, outcome) = watch::channel(None);
    let owner = tokio_util::sync::CancellationToken::new();
    let (pid, supervisor) =
        Supervisor::start(control, child, stops, owner.clone(), spec.time_limit)
            .await
            .map_err(|failure| failure.into_error(program))?;
    tokio::spawn(supervisor.run(outcome_sender));
    let control = ProcessControl { requests };
    Ok(RunningProcess {
        pid,
        stdout,
        stderr,
        control,
        outcome,
        _owner: owner.drop_guard(),
    })
}

/// The guard's command. The guard's end of the control socket is closed here when the command is
/// dropped; it must be, or the guard's death would go unnoticed.
fn guard_command(
    guard: &GuardCommand,
    spec: &ProcessSpec,
    words: &[OsString],
    control: std::os::unix::net::UnixStream,
) -> Command {
    let mut command = Command::new(&guard.program);
    command
        .args(&guard.args)
        .arg("--")
        .args(words)
        .arg0("hopline-guard")
        .current_dir(&spec.directory)
        .env_clear()
        .envs(spec.environment.iter())
        // Inherited, it would name the runner's directory.
        .env("PWD", &spec.directory)
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(control)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn check_words(words: &[OsString]) -> Result<(), ProcessError> {
    if words.first().is_none_or(|program| program.is_empty()) {
        return Err(ProcessError::InvalidCommand("it is empty"));
    }
    if words
        .iter()
        .any(|word| word.as_encoded_bytes().contains(&0))
    {
        return Err(ProcessError::InvalidCommand("it holds a NUL byte"));
    }
    Ok(())
}

/// The kernel would report a missing directory in the same words as a missing program.
fn check_directory(directory: &Path) -> Result<(), ProcessError> {
    let found = match std::fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        Err(error) => Err(error),
    };
    found.map_err(|source| ProcessError::Directory {
        directory: directory.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_names_nothing_is_refused() {
        for words in [
            vec![],
            vec![OsString::new()],
            vec!["a\0b".into()],
            vec!["a".into(), "b\0".into()],
        ] {
            let refused = check_words(&words);
            assert!(
                matches!(refused, Err(ProcessError::InvalidCommand(_))),
                "{words:?}: {refused:?}"
            );
        }
    }

    #[test]
    fn an_end_is_told_in_words() {
        let exit = Exit {
            code: Some(3),
            signal: None,
            stopped: None,
            ran_for: Duration::ZERO,
        };
        assert_eq!(exit.to_string(), "exit code 3");
        let exit = Exit {
            code: None,
            signal: Some(15),
            stopped: Some(StopCause::TimedOut),
            ran_for: Duration::ZERO,
        };
        assert_eq!(exit.to_string(), "signal 15 after its time was up");
    }
}
