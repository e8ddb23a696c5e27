//! What the runner and a guard say to each other on the control socket: lines of text, so that a
//! trace of system calls can be read.
//!
//! Guard to runner ([`Report`]): first `started PID` or `spawn-failed ERRNO`; after `started`,
//! once, `exit CODE` or `signal NUMBER`. Then the socket ends, when nothing of the program is left.
//! Runner to guard ([`Request`]): `term` and `kill`, any number of times. The end of the socket
//! means `kill`.

use std::fmt;

/// What a guard tells its runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// The program runs, with this process id, which is also its process group.
    Started(u32),
    /// The program could not be started; the error's number.
    SpawnFailed(i32),
    /// The program ended with this exit code.
    Exited(i32),
    /// The program was ended by this signal.
    Signalled(i32),
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started(pid) => write!(f, "started {pid}"),
            Self::SpawnFailed(errno) => write!(f, "spawn-failed {errno}"),
            Self::Exited(code) => write!(f, "exit {code}"),
            Self::Signalled(signal) => write!(f, "signal {signal}"),
        }
    }
}

impl Report {
    /// Reads one line (without its end).
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (word, number) = line.split_once(' ')?;
        match word {
            "started" => number.parse().ok().map(Self::Started),
            "spawn-failed" => number.parse().ok().map(Self::SpawnFailed),
            "exit" => number.parse().ok().map(Self::Exited),
            "signal" => number.parse().ok().map(Self::Signalled),
            _ => None,
        }
    }
}

/// What a runner asks of a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// SIGTERM to the program's process group.
    Terminate,
    /// SIGKILL to the program and all its descendants.
    Kill,
}

impl Request {
    /// The line that carries the request, with its end.
    pub(crate) fn line(self) -> &'static str {
        match self {
            Self::Terminate => "term\n",
            Self::Kill => "kill\n",
        }
    }

    /// Reads one line (without its end).
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        match line {
            b"term" => Some(Self::Terminate),
            b"kill" => Some(Self::Kill),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_back_as_it_was_written() {
        for report in [
            Report::Started(71),
            Report::SpawnFailed(2),
            Report::Exited(255),
            Report::Signalled(9),
        ] {
            assert_eq!(Report::parse(&report.to_string()), Some(report));
        }
    }

    #[test]
    fn a_request_reads_back_as_it_was_written() {
        for request in [Request::Terminate, Request::Kill] {
            assert_eq!(
                Request::parse(request.line().trim_end().as_bytes()),
                Some(request)
            );
        }
    }

    #[test]
    fn what_is_not_of_the_protocol_is_no_report() {
        for line in ["", "exit", "exit x", "exit 1 2", "stopped 3"] {
            assert_eq!(Report::parse(line), None, "{line:?}");
        }
    }
}
