//! The guard: the small process between the runner and each program it starts.
//!
//! A runner can die at any moment, of `kill -9` too, and then no code of its own runs any more. So
//! each program gets a guard process that outlives the runner just long enough to clean up. The
//! guard
//!
//! * is the *child subreaper* (`prctl(2)`) of everything below it: a daemon that forks twice and
//!   calls `setsid` is handed to the guard, not to init, and stays within reach;
//! * listens on a control socket, which it gets as its standard input. When the socket ends, the
//!   runner has died or let go, and every descendant is killed;
//! * kills what the program left in the background when the program itself has ended, so that a
//!   step's `sleep 1000 &` ends with its step;
//! * has its own session, so that Ctrl-C in the runner's terminal reaches the runner alone, which
//!   then decides.
//!
//! The program's output does not pass through the guard: it inherits the guard's standard output
//! and error, and the guard drops its own copies. Its standard input is `/dev/null`.
//!
//! Should the guard itself be killed, the kernel kills the program (`PR_SET_PDEATHSIG`) and
//! [`process`](crate::process) the rest of its process group; only what had left that group is then
//! beyond reach. A descendant that runs as another user (`sudo`) cannot be killed by anyone but
//! that user; the guard waits for it.
//!
//! # How it is started
//! The runner's own binary is run again with arguments that select [`main`] ([`GuardCommand`]).
//! `main` must be called before any thread exists: `PR_SET_PDEATHSIG` follows the thread that
//! started the program, and a guard is to be light.
//!
//! ```text
//! <guard command> -- PROGRAM ARGS…              the guard
//! <guard command> launch GUARD_PID -- PROGRAM…  its child, for an instant: sets PDEATHSIG, then becomes the program
//! ```
//!
//! The second form exists because a death signal can only be asked for by the process it shall
//! reach, between fork and exec, and doing so through a re-execution needs no `unsafe`.

mod descendants;
mod launch;
pub(crate) mod protocol;
mod supervise;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// How the guard is started: a program and the arguments that make it call [`main`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardCommand {
    /// The program; usually the running one (see [`GuardCommand::own_binary`]).
    pub program: PathBuf,
    /// The arguments that select the guard, for example a hidden subcommand.
    pub args: Vec<OsString>,
}

impl GuardCommand {
    /// The running program itself, with `args` to select the guard.
    ///
    /// It is named by `/proc/self/exe`, so that a binary replaced by an upgrade while it runs still
    /// starts the guard it was built with.
    pub fn own_binary<I>(args: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        Self {
            program: PathBuf::from("/proc/self/exe"),
            args: args.into_iter().map(Into::into).collect(),
        }
    }
}

/// The word that makes [`main`] the launcher instead of the guard.
const LAUNCH: &str = "launch";

/// Exit code of a guard that was called wrongly (by hand, say).
const USAGE: u8 = 2;

/// Runs the guard; returns when nothing it started is left.
///
/// `own` is the command that leads here again, `args` what followed it on the command line. To be
/// called first thing in the program's `main`, while it has a single thread.
pub fn main(own: &GuardCommand, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let done = match args.as_slice() {
        [word, guard, dashes, command @ ..]
            if word == LAUNCH && dashes == "--" && !command.is_empty() =>
        {
            launch::main(guard, command)
        }
        [dashes, command @ ..] if dashes == "--" && !command.is_empty() => {
            supervise::main(own, command)
        }
        _ => Err(std::io::Error::other("expected: -- PROGRAM [ARGS...]")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody reads this in the normal course of things: the runner learns of failures by
            // the control socket.
            eprintln!("hopline guard: {error}");
            ExitCode::from(USAGE)
        }
    }
}
