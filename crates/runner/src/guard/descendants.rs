//! Finding and killing everything below the guard.

use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};

use crate::processes::{Numbers, descendants_of, parents};

/// The pause between two rounds of killing grows up to this.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Takes one ended child off the kernel's table, without waiting.
///
/// `Ok(None)`: children run, none has ended. `Err(Errno::CHILD)`: there is no child left.
pub(super) fn reap() -> Result<Option<(Pid, WaitStatus)>, Errno> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Kills all descendants and returns when none is left.
///
/// `pause` waits that long or until a child has ended. One round is not enough: a process may fork
/// while the table is read, and the children of a killed process become the guard's own, to be
/// reaped here.
pub(super) fn kill_all(numbers: &Numbers, mut pause: impl FnMut(Duration)) {
    let mut longest = Duration::from_millis(1);
    loop {
        loop {
            match reap() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        for process in descendants_of(numbers.own(), &parents()) {
            let pid = numbers
                .here(process)
                .and_then(|pid| i32::try_from(pid).ok());
            if let Some(pid) = pid.and_then(Pid::from_raw) {
                // Gone meanwhile, or of another user: the next round sees which.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        pause(longest);
        longest = (longest * 2).min(LONGEST_PAUSE);
    }
}
