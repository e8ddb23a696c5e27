//! The guard's own work: start the program, serve the control socket, leave nothing behind.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, Signal, WaitStatus, kill_process, kill_process_group, set_child_subreaper,
};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::protocol::{Report, Request};
use super::{GuardCommand, LAUNCH, descendants};
use crate::processes::Numbers;

/// Runs `command` under this process until neither it nor a descendant of it is left.
pub(super) fn main(own: &GuardCommand, command: &[OsString]) -> io::Result<()> {
    let control = UnixStream::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
    control
        .local_addr()
        .map_err(|_| io::Error::other("standard input is not a control socket"))?;
    // Before anything is started: without it nothing could be ended.
    let numbers = Numbers::read()?;
    // Fails only for a process that leads a group already, and then the terminal is that group's
    // affair.
    let _ = rustix::process::setsid();
    // Any process id says yes; only "none" says no.
    set_child_subreaper(Some(rustix::process::getpid()))?;
    let signals = Signals::register()?;
    let (launch, child_end) = UnixStream::pair()?;
    let main = match start(own, command, child_end) {
        Ok(main) => main,
        Err(error) => {
            let errno = error
                .raw_os_error()
                .unwrap_or(rustix::io::Errno::INVAL.raw_os_error());
            report(&control, Report::SpawnFailed(errno));
            return Ok(());
        }
    };
    let mut guard = Guard {
        control,
        requests: Vec::new(),
        signals,
        launch: Some(launch),
        main,
    };
    guard.serve()?;
    let signals = guard.signals;
    descendants::kill_all(&numbers, |longest| signals.wait(longest));
    // The control socket closes here: the runner learns that nothing is left.
    Ok(())
}

/// Starts the launcher that becomes the program, then lets go of the program's output: the readers
/// are to see its end as soon as the program and its children have closed it.
fn start(own: &GuardCommand, command: &[OsString], launch: UnixStream) -> io::Result<Pid> {
    let child = Command::new(&own.program)
        .args(&own.args)
        .arg(LAUNCH)
        .arg(std::process::id().to_string())
        .arg("--")
        .args(command)
        .arg0("hopline-guard")
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(launch)))
        .process_group(0)
        .spawn()?;
    let null = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("no process id"))
}

/// Tells the runner, which may be dead: then the control socket's end says so next.
fn report(mut control: &UnixStream, report: Report) {
    let _ = control.write_all(format!("{report}\n").as_bytes());
}

/// The guard while the program runs.
struct Guard {
    control: UnixStream,
    /// The start of a request whose line has not ended.
    requests: Vec<u8>,
    signals: Signals,
    /// Tells how the program's start went; gone once that is known.
    launch: Option<UnixStream>,
    /// The program, which leads its own process group.
    main: Pid,
}

impl Guard {
    /// Serves the control socket until the program has ended or the runner has let go.
    fn serve(&mut self) -> io::Result<()> {
        loop {
            if let Some(status) = self.reap() {
                if self.launched()? {
                    report(&self.control, ending(status));
                }
                return Ok(());
            }
            if self.signals.take_terminate() {
                self.signal_program(Signal::TERM);
            }
            let ready = self.wait()?;
            if ready.launch && !self.launched()? {
                return Ok(());
            }
            if ready.control && !self.serve_requests() {
                return Ok(());
            }
        }
    }

    /// Reaps whatever has ended, strays included; the program's status if it is among them.
    fn reap(&self) -> Option<WaitStatus> {
        let mut ended = None;
        while let Ok(Some((pid, status))) = descendants::reap() {
            if pid == self.main {
                ended = Some(status);
            }
        }
        ended
    }

    /// Whether the program was started; tells the runner when that becomes known. The launcher's
    /// end of the socket closes with its exec or its death, so reading never waits long.
    fn launched(&mut self) -> io::Result<bool> {
        let Some(mut launch) = self.launch.take() else {
            return Ok(true);
        };
        let mut errno = String::new();
        launch.read_to_string(&mut errno)?;
        let Ok(errno) = errno.parse() else {
            report(
                &self.control,
                Report::Started(self.main.as_raw_pid().unsigned_abs()),
            );
            return Ok(true);
        };
        report(&self.control, Report::SpawnFailed(errno));
        Ok(false)
    }

    /// Waits until something is to be done.
    fn wait(&self) -> io::Result<Ready> {
        // Without a launch to watch, the control socket stands in for it, so that the list keeps
        // its shape.
        let launch = self.launch.as_ref().unwrap_or(&self.control);
        let mut fds = [
            PollFd::new(&self.control, PollFlags::IN),
            PollFd::new(&self.signals.wake, PollFlags::IN),
            PollFd::new(launch, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [control, wake, launch] = fds.map(|fd| !fd.revents().is_empty());
        if wake {
            self.signals.clear();
        }
        Ok(Ready {
            control,
            launch: launch && self.launch.is_some(),
        })
    }

    /// Reads what the runner asks for and does it; false at the end of the socket.
    fn serve_requests(&mut self) -> bool {
        let mut bytes = [0; 64];
        match (&self.control).read(&mut bytes) {
            Ok(0) => return false,
            Ok(count) => self.requests.extend_from_slice(&bytes[..count]),
            Err(error) => return error.kind() == ErrorKind::Interrupted,
        }
        while let Some(end) = self.requests.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.requests.drain(..=end).collect();
            match Request::parse(&line[..end]) {
                Some(Request::Terminate) => self.signal_program(Signal::TERM),
                // The program's end, which follows, brings the end of its descendants outside its
                // group.
                Some(Request::Kill) => self.signal_program(Signal::KILL),
                None => {}
            }
        }
        true
    }

    /// Sends a signal to the program's process group. A stopped process is woken, or it would never
    /// see a SIGTERM.
    fn signal_program(&self, signal: Signal) {
        for signal in [signal, Signal::CONT] {
            // A program that has moved to another group is still to be reached.
            if kill_process_group(self.main, signal).is_err() {
                let _ = kill_process(self.main, signal);
            }
        }
    }
}

/// What [`Guard::wait`] found.
struct Ready {
    control: bool,
    launch: bool,
}

/// How the program ended, in the words of the protocol.
fn ending(status: WaitStatus) -> Report {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Report::Exited(code),
        (None, Some(signal)) => Report::Signalled(signal),
        // Without WUNTRACED there is no third way to be reaped.
        (None, None) => Report::Exited(0),
    }
}

/// The signals that a guard hears of. They are caught, not ignored: an ignored signal would stay
/// ignored in the program, a caught one is back at its default there.
struct Signals {
    wake: UnixStream,
    terminate: Arc<AtomicBool>,
}

impl Signals {
    fn register() -> io::Result<Self> {
        let (wake, write) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let terminate = Arc::new(AtomicBool::new(false));
        // An ended child: something to reap.
        signal_hook::low_level::pipe::register(SIGCHLD, write.try_clone()?)?;
        // A service manager that stops the whole service means the program, not its guard.
        signal_hook::flag::register(SIGTERM, Arc::clone(&terminate))?;
        signal_hook::low_level::pipe::register(SIGTERM, write)?;
        // A guard must not die of what is meant for a terminal's foreground.
        for signal in [SIGINT, SIGHUP, SIGQUIT] {
            signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
        }
        Ok(Self { wake, terminate })
    }

    /// Whether a SIGTERM has come since the last call.
    fn take_terminate(&self) -> bool {
        self.terminate.swap(false, Ordering::Relaxed)
    }

    /// Takes the wake-ups off, so that the next wait waits.
    fn clear(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.wake).read(&mut bytes), Ok(count) if count > 0) {}
    }

    /// Waits for a signal, at most `longest`.
    fn wait(&self, longest: Duration) {
        let longest = Timespec {
            tv_sec: 0,
            tv_nsec: longest.subsec_nanos().into(),
        };
        let _ = poll(
            &mut [PollFd::new(&self.wake, PollFlags::IN)],
            Some(&longest),
        );
        self.clear();
    }
}
