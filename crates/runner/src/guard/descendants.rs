//! Finding and killing everything below the guard.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, wait};

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
pub(super) fn kill_all(mut pause: impl FnMut(Duration)) {
    let mut longest = Duration::from_millis(1);
    loop {
        loop {
            match reap() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        for pid in descendants_of(getpid(), &parents()) {
            // Gone meanwhile, or of another user: the next round sees which.
            let _ = kill_process(pid, Signal::KILL);
        }
        pause(longest);
        longest = (longest * 2).min(LONGEST_PAUSE);
    }
}

/// Every process with its parent, as `/proc` tells (`proc_pid_stat(5)`).
///
/// `/proc/PID/task/TID/children` would be shorter to walk, but it is a kernel option and promises
/// nothing about processes that fork meanwhile.
fn parents() -> Vec<(Pid, Pid)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let pid = Pid::from_raw(name.to_str()?.parse().ok()?)?;
            let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
            Some((pid, parent_in_stat(&stat)?))
        })
        .collect()
}

/// The parent's id in a line of `/proc/PID/stat`: the second field after the program's name, which
/// stands in parentheses and may itself hold spaces and parentheses.
fn parent_in_stat(stat: &[u8]) -> Option<Pid> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    Pid::from_raw(rest.split_ascii_whitespace().nth(1)?.parse().ok()?)
}

/// All processes below `root`, parents before their children.
fn descendants_of(root: Pid, parents: &[(Pid, Pid)]) -> Vec<Pid> {
    let mut children: HashMap<Pid, Vec<Pid>> = HashMap::new();
    for &(pid, parent) in parents {
        children.entry(parent).or_default().push(pid);
    }
    let mut found = children.remove(&root).unwrap_or_default();
    let mut next = 0;
    while next < found.len() {
        // Taken out, so that even a table that changed while it was read (a reused id) cannot make
        // a circle.
        found.extend(children.remove(&found[next]).unwrap_or_default());
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(raw: i32) -> Pid {
        Pid::from_raw(raw).unwrap()
    }

    #[test]
    fn the_parent_is_found_behind_any_program_name() {
        for line in [
            "7 (sh) S 3 7 7 0",
            "7 (a b) S 3 7 7 0",
            "7 (x) R 9 (y) S 3 7 7 0",
            "7 ()) Z 3 7 7 0",
        ] {
            assert_eq!(parent_in_stat(line.as_bytes()), Some(pid(3)), "{line}");
        }
        assert_eq!(parent_in_stat(b"7 (init) S 0 7 7 0"), None, "no parent");
        assert_eq!(parent_in_stat(b"torn"), None);
    }

    #[test]
    fn descendants_are_those_below_and_no_others() {
        let parents =
            [(2, 1), (3, 2), (4, 3), (5, 1), (6, 4), (7, 2)].map(|(a, b)| (pid(a), pid(b)));
        let mut found = descendants_of(pid(2), &parents);
        found.sort_by_key(|pid| pid.as_raw_pid());
        assert_eq!(found, [3, 4, 6, 7].map(pid));
        assert!(descendants_of(pid(6), &parents).is_empty());
    }

    #[test]
    fn a_circle_in_a_torn_table_ends() {
        let parents = [(2, 1), (3, 2), (2, 3)].map(|(a, b)| (pid(a), pid(b)));
        assert!(descendants_of(pid(1), &parents).len() <= 3);
    }
}
