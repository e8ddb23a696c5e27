//! What the whole-path tests share: the program with folders of its own, services that are ended with the
//! test, deadlines, and the logs when a test fails.
//!
//! Every process is the real program; every port is a free one; nothing outside the test's own temporary
//! folder is read or written.

#![allow(dead_code, reason = "each test target uses its own part of this")]

pub(crate) mod spans;

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Pid;
pub(crate) use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take. Far more than it should: a test machine may be busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Everything in one process, on free ports.
pub(crate) const UP: [&str; 5] = [
    "up",
    "--listen",
    "127.0.0.1:0",
    "--broker-listen",
    "127.0.0.1:0",
];

/// A data folder, a project's folder and a home, all temporary.
pub(crate) struct Place {
    root: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// The last line on standard output, as JSON.
    pub(crate) fn last_json(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}\n{self}"))
    }

    /// The same, once it is certain that the command ended with this code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{self}");
        self
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            status,
            stdout,
            stderr,
        } = self;
        write!(f, "{status}\n-- stdout\n{stdout}\n-- stderr\n{stderr}")
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(root.path().join("shop")).expect("the project's folder");
        Self { root }
    }

    /// The project's folder, called `shop`.
    pub(crate) fn project(&self) -> PathBuf {
        self.root.path().join("shop")
    }

    /// The data folder; made by the program.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    /// Writes a file into the project's folder.
    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.project().join(name), content).expect("a file in the project's folder");
    }

    /// The program, called in the project's folder with the data folder, and an environment that says nothing.
    pub(crate) fn hopline(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hopline"));
        command
            .args(args)
            .current_dir(self.project())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root.path())
            .env("HOPLINE_DATA", self.data())
            .stdin(Stdio::null())
            // A group of its own, so that nothing the test does to itself reaches it.
            .process_group(0);
        command
    }

    /// Runs the program to its end.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        finish(self.hopline(args))
    }

    /// Starts a service and waits until it says that it is ready.
    #[track_caller]
    pub(crate) fn service(&self, args: &[&str]) -> Service {
        Service::start(self.hopline(args))
    }

    /// What the lock file says, once it names a server.
    pub(crate) fn holder(&self) -> Value {
        eventually("the lock file names a server", || {
            let text = std::fs::read_to_string(self.data().join("lock")).ok()?;
            let holder: Value = serde_json::from_str(&text).ok()?;
            holder.get("server").is_some().then_some(holder)
        })
    }

    /// One of the secrets in the data folder.
    pub(crate) fn secret(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.data().join("secrets")).expect("the secrets");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} = ")));
        line.expect("a secret of this name")
            .trim_matches('"')
            .to_owned()
    }
}

/// Waits for a condition, with a deadline.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "it did not come to pass that {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a command to its end, or fails when it takes too long.
#[track_caller]
pub(crate) fn finish(command: Command) -> Ended {
    Running::start(command).finish()
}

/// A command under way. One that a failing test leaves behind is killed.
pub(crate) struct Running {
    child: Child,
    shown: String,
    outputs: Option<[JoinHandle<String>; 2]>,
}

impl Running {
    #[track_caller]
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let outputs = [drain(child.stdout.take()), drain(child.stderr.take())];
        Self {
            child,
            shown: format!("{command:?}"),
            outputs: Some(outputs),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, or fails when it takes too long.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Ended {
        let in_time = wait(&mut self.child);
        let status = in_time.unwrap_or_else(|| {
            let _ = self.child.kill();
            self.child.wait().expect("the killed program ends")
        });
        let [stdout, stderr] = self.outputs.take().expect("it is finished once");
        let ended = Ended {
            status,
            stdout: stdout.join().unwrap_or_default(),
            stderr: stderr.join().unwrap_or_default(),
        };
        let shown = &self.shown;
        assert!(
            in_time.is_some(),
            "the program did not end in time: {shown}\n{ended}"
        );
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.outputs.is_some() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn drain(stream: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// A service that runs until the test ends it, or ends.
pub(crate) struct Service {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    ended: bool,
}

/// A process that is killed when the test is through with it.
pub(crate) struct KilledOnDrop(pub(crate) Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Service {
    /// Starts a service and waits until it says that it is ready.
    #[track_caller]
    pub(crate) fn start(command: Command) -> Self {
        Self::start_until(command, "ready")
    }

    /// Starts a command and waits for a line that begins so.
    #[track_caller]
    pub(crate) fn start_until(mut command: Command, beginning: &str) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the service starts");
        let lines = Arc::default();
        collect(child.stdout.take(), "", &lines);
        collect(child.stderr.take(), "log: ", &lines);
        let mut service = Self {
            child,
            lines,
            ended: false,
        };
        service.wait_until(beginning);
        service
    }

    fn wait_until(&mut self, beginning: &str) {
        eventually("the service is ready", || {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                self.ended = true;
                panic!("the service ended: {status}\n{}", self.log());
            }
            self.lines()
                .iter()
                .any(|line| line.starts_with(beginning))
                .then_some(())
        });
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The lines on standard output and, marked as `log: `, standard error.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no reader panics").clone()
    }

    pub(crate) fn log(&self) -> String {
        self.lines().join("\n")
    }

    /// The address that the service gave for a part, such as `server`.
    #[track_caller]
    pub(crate) fn url(&self, part: &str) -> String {
        let lines = self.lines();
        let line = lines.iter().find_map(|line| line.trim().strip_prefix(part));
        let url = line.and_then(|rest| rest.split_whitespace().next());
        url.unwrap_or_else(|| panic!("the service names no {part}:\n{}", self.log()))
            .to_owned()
    }

    #[track_caller]
    pub(crate) fn address(&self, part: &str) -> SocketAddr {
        let url = self.url(part);
        let address = url.strip_prefix("http://").unwrap_or(&url);
        address.parse().expect("an address")
    }

    /// Asks the service to end, and waits for it.
    #[track_caller]
    pub(crate) fn terminate(self) -> (ExitStatus, String) {
        signal(self.pid(), Signal::TERM);
        self.ended()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let status =
            wait(&mut self.child).unwrap_or_else(|| panic!("it did not end:\n{}", self.log()));
        self.ended = true;
        // Its readers let go of the lines when they have read to the end.
        eventually("all that it said is read", || {
            (Arc::strong_count(&self.lines) == 1).then_some(())
        });
        (status, self.log())
    }

    /// Kills the service at once, as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the service can be killed");
        self.child.wait().expect("the killed service ends");
        self.ended = true;
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("-- log of process {}\n{}", self.pid(), self.log());
        }
    }
}

fn collect(
    stream: Option<impl Read + Send + 'static>,
    mark: &'static str,
    lines: &Arc<Mutex<Vec<String>>>,
) {
    let lines = Arc::clone(lines);
    let stream = stream.expect("the stream is piped");
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            lines
                .lock()
                .expect("no reader panics")
                .push(format!("{mark}{line}"));
        }
    });
}

/// Sends a signal to one process.
#[track_caller]
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let sent = rustix::process::kill_process(pid.expect("a process id"), signal);
    sent.unwrap_or_else(|error| panic!("send {signal:?}: {error}"));
}

/// Whether a process is there and no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| {
        let state = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.chars().next());
        !matches!(state, Some('Z' | 'X'))
    })
}

/// Sends a request as it stands, and gives the whole answer.
pub(crate) fn http(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("a deadline can be set");
    stream
        .write_all(request.as_bytes())
        .expect("the request is taken");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the answer ends");
    String::from_utf8_lossy(&answer).into_owned()
}
