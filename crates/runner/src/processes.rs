//! The processes of this machine, as `/proc` tells them (`proc_pid_stat(5)`, `proc_pid_status(5)`).
//!
//! What is mounted there may belong to another process namespace than this process: `unshare --pid` without
//! `--mount-proc` leaves it so. Its numbers are then not those by which processes are known here, to `kill` above all.
//! So a process goes by two numbers: the one that names it in `/proc`, plain in this module, and the one that it has
//! here, which [`Numbers::here`] gives.

use std::collections::HashMap;
use std::{fs, io};

/// How the numbers in `/proc` stand to those of this process's namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    /// This process in `/proc`.
    own: u32,
    /// Which of the numbers in the line `NSpid` is the one here; none if `/proc` is this namespace's own.
    level: Option<usize>,
}

impl Numbers {
    /// Looks at this process in `/proc`.
    ///
    /// # Errors
    /// If `/proc` is not there, or is another namespace's and does not tell which process is which.
    pub(crate) fn read() -> io::Result<Self> {
        let stat = fs::read("/proc/self/stat")?;
        let own = own_in_stat(&stat)
            .ok_or_else(|| io::Error::other("/proc/self/stat is no line of a process"))?;
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self::of(own, std::process::id(), &status).ok_or_else(|| {
            io::Error::other(
                "/proc is that of another process namespace and does not tell this one's processes; \
                 mount this one's (unshare --mount-proc)",
            )
        })
    }

    fn of(own: u32, here: u32, status: &str) -> Option<Self> {
        let level = match namespace_numbers(status).as_slice() {
            // An old kernel without the line; no other number tells more.
            [] if own == here => None,
            [_] if own == here => None,
            [.., last] if *last == here => Some(namespace_numbers(status).len() - 1),
            _ => return None,
        };
        Some(Self { own, level })
    }

    /// This process in `/proc`.
    pub(crate) fn own(&self) -> u32 {
        self.own
    }

    /// By which number a process below this one is known here; none if it is gone.
    pub(crate) fn here(&self, process: u32) -> Option<u32> {
        let Some(level) = self.level else {
            return Some(process);
        };
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        namespace_numbers(&status).get(level).copied()
    }

    /// This process or the one below it that is known here by this number, in `/proc`.
    pub(crate) fn find(&self, here: u32, parents: &[(u32, u32)]) -> Option<u32> {
        if self.level.is_none() || here == std::process::id() {
            return Some(self.level.map_or(here, |_| self.own));
        }
        let below = descendants_of(self.own, parents);
        below
            .into_iter()
            .find(|process| self.here(*process) == Some(here))
    }
}

/// Every process with its parent.
///
/// `/proc/PID/task/TID/children` would be shorter to walk, but it is a kernel option and promises nothing about
/// processes that fork meanwhile.
pub(crate) fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let process = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read(format!("/proc/{process}/stat")).ok()?;
            Some((process, parent_in_stat(&stat)?))
        })
        .collect()
}

/// All processes below `root`, parents before their children.
pub(crate) fn descendants_of(root: u32, parents: &[(u32, u32)]) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for &(process, parent) in parents {
        children.entry(parent).or_default().push(process);
    }
    let mut found = children.remove(&root).unwrap_or_default();
    let mut next = 0;
    while next < found.len() {
        // Taken out, so that even a table that changed while it was read (a reused number) cannot make a circle.
        found.extend(children.remove(&found[next]).unwrap_or_default());
        next += 1;
    }
    found
}

/// The process's own number in a line of `/proc/PID/stat`.
fn own_in_stat(stat: &[u8]) -> Option<u32> {
    let end = stat.iter().position(|byte| *byte == b' ')?;
    std::str::from_utf8(&stat[..end]).ok()?.parse().ok()
}

/// The parent in a line of `/proc/PID/stat`: the second field after the program's name, which stands in parentheses and
/// may itself hold spaces and parentheses. None for a process without a parent there.
fn parent_in_stat(stat: &[u8]) -> Option<u32> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    let parent = rest.split_ascii_whitespace().nth(1)?.parse().ok()?;
    (parent > 0).then_some(parent)
}

/// The numbers of a process in the namespaces from that of `/proc` down to its own.
fn namespace_numbers(status: &str) -> Vec<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let numbers = line.unwrap_or_default().split_ascii_whitespace();
    numbers.filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_program_name() {
        for line in [
            "7 (sh) S 3 7 7 0",
            "7 (a b) S 3 7 7 0",
            "7 (x) R 9 (y) S 3 7 7 0",
            "7 ()) Z 3 7 7 0",
        ] {
            assert_eq!(parent_in_stat(line.as_bytes()), Some(3), "{line}");
            assert_eq!(own_in_stat(line.as_bytes()), Some(7), "{line}");
        }
        assert_eq!(parent_in_stat(b"7 (init) S 0 7 7 0"), None, "no parent");
        assert_eq!(parent_in_stat(b"torn"), None);
    }

    #[test]
    fn descendants_are_those_below_and_no_others() {
        let parents = [(2, 1), (3, 2), (4, 3), (5, 1), (6, 4), (7, 2)];
        let mut found = descendants_of(2, &parents);
        found.sort_unstable();
        assert_eq!(found, [3, 4, 6, 7]);
        assert!(descendants_of(6, &parents).is_empty());
    }

    #[test]
    fn a_circle_in_a_torn_table_ends() {
        let parents = [(2, 1), (3, 2), (2, 3)];
        assert!(descendants_of(1, &parents).len() <= 3);
    }

    #[test]
    fn numbers_of_another_namespace_are_told_from_ones_own() {
        let level = |own, here, status: &str| Numbers::of(own, here, status).map(|it| it.level);
        assert_eq!(level(7, 7, "NSpid:\t7\n"), Some(None));
        assert_eq!(level(7, 7, "Name:\tx\n"), Some(None), "an old kernel");
        assert_eq!(level(900, 7, "Pid:\t900\nNSpid:\t900\t7\n"), Some(Some(1)));
        assert_eq!(
            level(7, 7, "NSpid:\t7\t7\n"),
            Some(Some(1)),
            "by chance alike"
        );
        assert_eq!(level(900, 7, "Name:\tx\n"), None);
        assert_eq!(level(900, 7, "NSpid:\t900\n"), None);
    }

    #[test]
    fn this_process_is_found_under_its_number() {
        let numbers = Numbers::read().unwrap();
        let here = std::process::id();
        assert_eq!(numbers.here(numbers.own()), Some(here));
        assert_eq!(numbers.find(here, &parents()), Some(numbers.own()));
    }
}
