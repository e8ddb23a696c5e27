//! The task that holds a guard's control socket for as long as the program is owned.

use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Exit, ProcessError, StopCause, StopRequest, TimeLimit};
use crate::guard::protocol::{Report, Request};

/// How long after the program's end its descendants are waited for. They have been sent SIGKILL;
/// one that is not gone by then hangs in the kernel or belongs to another user, and the build need
/// not hang with it.
const SWEEP_LIMIT: Duration = Duration::from_secs(10);

/// How a supervised program came to its end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    Ended(Exit),
    GuardLost,
}

/// Why a program did not come to run.
pub(super) enum StartFailure {
    /// The program itself could not be started.
    Program(io::Error),
    /// The guard could not do its part.
    Guard(io::Error),
}

impl StartFailure {
    pub(super) fn into_error(self, program: String) -> ProcessError {
        match self {
            Self::Program(source) => ProcessError::Spawn { program, source },
            Self::Guard(source) => ProcessError::Guard(source),
        }
    }
}

pub(super) struct Supervisor {
    reports: Lines<BufReader<OwnedReadHalf>>,
    requests: OwnedWriteHalf,
    guard: Child,
    pid: u32,
    stops: mpsc::Receiver<StopRequest>,
    owner: CancellationToken,
    started: Instant,
    /// When the program's time is up, and the grace it gets then.
    limit: Option<(Instant, Duration)>,
    /// When the grace of a stop that is under way is over.
    kill_at: Option<Instant>,
    stopped: Option<StopCause>,
}

/// What the supervisor waits for.
enum Next {
    /// `None`: a line that is not of the protocol, which is no reason to lose the program.
    Report(Option<Report>),
    GuardLost,
    Stop(StopRequest),
    TimeUp,
    GraceOver,
    Dropped,
}

impl Supervisor {
    /// Waits until the guard says that the program runs.
    pub(super) async fn start(
        control: UnixStream,
        mut guard: Child,
        stops: mpsc::Receiver<StopRequest>,
        owner: CancellationToken,
        limit: Option<TimeLimit>,
    ) -> Result<(u32, Self), StartFailure> {
        let (read, requests) = control.into_split();
        let mut reports = BufReader::new(read).lines();
        let first = reports.next_line().await.ok().flatten();
        let pid = match first.as_deref().and_then(Report::parse) {
            Some(Report::Started(pid)) => pid,
            Some(Report::SpawnFailed(errno)) => {
                return Err(StartFailure::Program(io::Error::from_raw_os_error(errno)));
            }
            _ => {
                let status = guard.wait().await.map_err(StartFailure::Guard)?;
                return Err(StartFailure::Guard(io::Error::other(format!(
                    "it ended with {status}"
                ))));
            }
        };
        let started = Instant::now();
        // A time that the clock cannot tell never comes.
        let limit = limit.and_then(|limit| Some((started.checked_add(limit.after)?, limit.grace)));
        let supervisor = Self {
            reports,
            requests,
            guard,
            pid,
            stops,
            owner,
            started,
            limit,
            kill_at: None,
            stopped: None,
        };
        Ok((pid, supervisor))
    }

    /// Serves the program until its end, and publishes that.
    pub(super) async fn run(mut self, outcome: watch::Sender<Option<Outcome>>) {
        let ended = self.serve().await;
        match ended {
            Some(Outcome::Ended(_)) => self.wait_for_the_sweep().await,
            Some(Outcome::GuardLost) => self.kill_group(),
            None => {}
        }
        outcome.send_replace(ended);
        // Dropping `self` closes the control socket, upon which the guard kills whatever is left,
        // and leaves the guard to the runtime, which reaps it.
    }

    /// `None`: the owner has dropped the program.
    async fn serve(&mut self) -> Option<Outcome> {
        loop {
            match self.next().await {
                Next::Report(report) => {
                    if let Some(exit) = report.and_then(|report| self.exit(report)) {
                        return Some(Outcome::Ended(exit));
                    }
                }
                Next::GuardLost => return Some(Outcome::GuardLost),
                Next::Stop(StopRequest::Terminate { grace }) => {
                    self.terminate(StopCause::Requested, grace).await
                }
                Next::Stop(StopRequest::Kill) => {
                    self.stopped.get_or_insert(StopCause::Requested);
                    self.request(Request::Kill).await;
                }
                Next::TimeUp => {
                    if let Some((_, grace)) = self.limit.take() {
                        self.terminate(StopCause::TimedOut, grace).await;
                    }
                }
                Next::GraceOver => {
                    self.kill_at = None;
                    self.request(Request::Kill).await;
                }
                Next::Dropped => return None,
            }
        }
    }

    async fn next(&mut self) -> Next {
        tokio::select! {
            biased;
            line = self.reports.next_line() => match line {
                Ok(Some(line)) => Next::Report(Report::parse(&line)),
                Ok(None) | Err(_) => Next::GuardLost,
            },
            () = self.owner.cancelled() => Next::Dropped,
            Some(stop) = self.stops.recv() => Next::Stop(stop),
            () = at(self.kill_at) => Next::GraceOver,
            () = at(self.limit.map(|(at, _)| at)) => Next::TimeUp,
        }
    }

    /// The program's end, if that is what the report tells.
    fn exit(&self, report: Report) -> Option<Exit> {
        let (code, signal) = match report {
            Report::Exited(code) => (Some(code), None),
            Report::Signalled(signal) => (None, Some(signal)),
            Report::Started(_) | Report::SpawnFailed(_) => return None,
        };
        Some(Exit {
            code,
            signal,
            stopped: self.stopped,
            ran_for: self.started.elapsed(),
        })
    }

    /// The first cause is the one that is told, and a grace under way can only get shorter.
    async fn terminate(&mut self, cause: StopCause, grace: Duration) {
        self.stopped.get_or_insert(cause);
        let kill_at = Instant::now() + grace;
        self.kill_at = Some(self.kill_at.map_or(kill_at, |earlier| earlier.min(kill_at)));
        self.request(Request::Terminate).await;
    }

    async fn request(&mut self, request: Request) {
        // A guard that no longer listens is gone, which the reports' end tells next.
        let _ = self.requests.write_all(request.line().as_bytes()).await;
    }

    async fn wait_for_the_sweep(&mut self) {
        if tokio::time::timeout(SWEEP_LIMIT, self.gone())
            .await
            .is_err()
        {
            tracing::warn!(
                pid = self.pid,
                "descendants of an ended program cannot be killed"
            );
        }
    }

    /// Waits until the guard has left nothing behind and is gone itself.
    async fn gone(&mut self) {
        while let Ok(Some(_)) = self.reports.next_line().await {}
        let _ = self.guard.wait().await;
    }

    /// Kills what is left of the program's process group. Its leader is dead by the kernel's hand,
    /// or about to be.
    fn kill_group(&self) {
        if let Some(group) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Waits until then; for ever without a time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
