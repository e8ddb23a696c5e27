//! What the tests of real processes share.

#![allow(dead_code, reason = "each test program uses its part")]

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hopline_runner::guard::GuardCommand;
use hopline_runner::process::{CommandLine, Environment, ProcessSpec, RunningProcess};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncBufReadExt as _;

/// Longer than any test needs; where it passes, something hangs.
pub(crate) const FAR: Duration = Duration::from_secs(30);

/// The guard as a program of its own.
pub(crate) fn guard() -> GuardCommand {
    GuardCommand {
        program: env!("CARGO_BIN_EXE_hopline-guard").into(),
        args: Vec::new(),
    }
}

/// A shell line in the test's own directory and environment.
pub(crate) fn shell(line: &str) -> ProcessSpec {
    ProcessSpec {
        command: CommandLine::Shell(line.to_owned()),
        directory: std::env::current_dir().unwrap(),
        environment: Environment::inherited(std::env::vars_os()),
        time_limit: None,
    }
}

/// The first line that the program prints. Its standard output cannot be read further.
pub(crate) async fn first_line(process: &mut RunningProcess) -> String {
    let mut line = String::new();
    let stdout = process.stdout.as_mut().unwrap();
    tokio::io::BufReader::new(stdout)
        .read_line(&mut line)
        .await
        .unwrap();
    line.trim_end().to_owned()
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + FAR;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process lives; a zombie does not.
pub(crate) fn exists(pid: i32) -> bool {
    stat(pid).is_some_and(|fields| fields[0] != "Z" && fields[0] != "X")
}

/// A process's parent.
pub(crate) fn parent_of(pid: i32) -> Option<i32> {
    stat(pid)?[1].parse().ok()
}

/// What follows the program's name in `/proc/PID/stat`: state, parent, and so on.
fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(
        stat.rsplit_once(')')?
            .1
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
    )
}

/// Kills a process at once.
pub(crate) fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

/// A process id that some program is to write into a file, when it has.
pub(crate) async fn pid_in(path: &Path) -> i32 {
    let mut pid = None;
    eventually("a process id in a file", || {
        pid = std::fs::read_to_string(path)
            .ok()
            .filter(|text| text.ends_with('\n'))
            .and_then(|text| text.trim().parse().ok());
        pid.is_some()
    })
    .await;
    pid.unwrap()
}

/// Another program's output pipe, held and written to by this process, which no guard can reach.
pub(crate) struct Held {
    stop: Arc<AtomicBool>,
    writer: Option<std::thread::JoinHandle<()>>,
}

impl Held {
    /// The standard output of a process.
    pub(crate) fn by_pid(pid: i32) -> Self {
        let pipe = format!("/proc/{pid}/fd/1");
        let mut pipe = std::fs::File::options().write(true).open(pipe).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let writer = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                let _ = pipe.write_all(b"foreign\n");
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        Self {
            stop,
            writer: Some(writer),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}
