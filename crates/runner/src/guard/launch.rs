//! The instant between the guard's fork and the program: asks for the death signal, then becomes
//! the program.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// Becomes `command`; returns only if that failed.
///
/// Standard input is a socket to the guard. Its end tells the guard that the program runs; what is
/// written to it before that is the number of the error.
pub(super) fn main(guard: &OsStr, command: &[OsString]) -> io::Result<()> {
    let guard = guard
        .to_str()
        .and_then(|text| text.parse().ok())
        .and_then(Pid::from_raw);
    let mut report = UnixStream::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The signal comes only for a death that is still to happen; an earlier one shows as another
    // parent.
    if guard.is_none() || getppid() != guard {
        return Err(io::Error::other("the guard is gone"));
    }
    let error = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .exec();
    let errno = error
        .raw_os_error()
        .unwrap_or(rustix::io::Errno::INVAL.raw_os_error());
    // The guard may have died meanwhile, and then nobody wants to know.
    let _ = write!(report, "{errno}");
    Ok(())
}
