//! Which port a dev server listens on: by what it prints, held against what its processes really listen on.
//!
//! A server prints the addresses of others as well, its database's say, and often before its own. So of the printed
//! ports the first counts that its processes listen on; one that is only printed is believed when they listen on
//! nothing, an address for browsers sooner than a bare one.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::processes::{Numbers, descendants_of, parents};

/// A printed address for browsers is believed after this while the server's processes listen on nothing: it may listen
/// where `/proc` does not show it, in a container say. Also, the time that a port which was not printed gives those
/// that were.
const BELIEVE_AFTER: Duration = Duration::from_secs(3);

/// The same for an address without `http://` before it, which may be anyone's.
const BELIEVE_BARE_AFTER: Duration = Duration::from_secs(15);

/// Of so many different printed ports note is taken.
const MAX_PRINTED: usize = 32;

/// A port that was not printed is taken when the server has listened on it for this long: many print theirs at once.
const SETTLE: Duration = Duration::from_millis(800);

/// The search is given up after this.
const GIVE_UP_AFTER: Duration = Duration::from_secs(300);

/// As much of the end of the output is looked at again with what follows, in bytes.
const OVERLAP_BYTES: usize = 256;

/// Looks for one server's port.
pub(super) struct PortFinder {
    pid: u32,
    preferred: Option<u16>,
    /// In the order of their printing, each once.
    printed: Vec<Printed>,
    listening_since: Option<Instant>,
    started: Instant,
    tail: String,
    found: bool,
}

/// A port that was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Printed {
    port: u16,
    /// When it is believed, if the server listens on nothing.
    believe_at: Instant,
}

impl PortFinder {
    /// For the server whose program is the process `pid`.
    pub(super) fn new(pid: u32, preferred: Option<u16>) -> Self {
        Self {
            pid,
            preferred,
            printed: Vec::new(),
            listening_since: None,
            started: Instant::now(),
            tail: String::new(),
            found: false,
        }
    }

    pub(super) fn is_looking(&self) -> bool {
        !self.found && self.started.elapsed() < GIVE_UP_AFTER
    }

    /// Takes in what the server printed.
    pub(super) fn read(&mut self, text: &str) {
        if !self.is_looking() {
            return;
        }
        self.tail.push_str(text);
        let now = Instant::now();
        for (port, is_url) in local_ports(&without_escapes(&self.tail)) {
            let is_known = self.printed.iter().any(|printed| printed.port == port);
            if is_known || self.printed.len() == MAX_PRINTED {
                continue;
            }
            let after = if is_url {
                BELIEVE_AFTER
            } else {
                BELIEVE_BARE_AFTER
            };
            let believe_at = now + after;
            self.printed.push(Printed { port, believe_at });
        }
        let keep = self.tail.len().saturating_sub(OVERLAP_BYTES);
        self.tail.drain(..self.tail.floor_char_boundary(keep));
    }

    /// Asks the system; answers the port once it is known, and then never again.
    pub(super) async fn look(&mut self) -> Option<u16> {
        let pid = self.pid;
        let listening = tokio::task::spawn_blocking(move || listening_ports(pid)).await;
        let port = self.judge(&listening.unwrap_or_default(), Instant::now());
        self.found = port.is_some();
        port
    }

    fn judge(&mut self, listening: &BTreeSet<u16>, now: Instant) -> Option<u16> {
        let mut printed = self.printed.iter();
        if let Some(seen) = printed.find(|printed| listening.contains(&printed.port)) {
            return Some(seen.port);
        }
        let Some(first) = listening.first() else {
            let mut printed = self.printed.iter();
            let believed = printed.find(|printed| now >= printed.believe_at);
            return believed.map(|printed| printed.port);
        };
        let listens_for = now - *self.listening_since.get_or_insert(now);
        let preferred = self.preferred.filter(|port| listening.contains(port));
        if self.printed.is_empty() {
            return preferred.or_else(|| (listens_for >= SETTLE).then_some(*first));
        }
        // What was printed may be the address to come, or another's.
        (listens_for >= BELIEVE_AFTER).then(|| preferred.unwrap_or(*first))
    }
}

/// The ports of the addresses of this machine in a text, in their order, and whether each is one for browsers.
fn local_ports(text: &str) -> Vec<(u16, bool)> {
    const HOSTS: [&str; 5] = ["localhost:", "127.0.0.1:", "0.0.0.0:", "[::1]:", "[::]:"];
    let mut found: Vec<_> = HOSTS
        .iter()
        .flat_map(|host| text.match_indices(host))
        .filter_map(|(at, host)| {
            let port = port_at(&text[at + host.len()..])?;
            let is_url = ["http://", "https://"]
                .iter()
                .any(|scheme| text[..at].ends_with(scheme));
            Some((at, port, is_url))
        })
        .collect();
    found.sort_unstable();
    found
        .into_iter()
        .map(|(_, port, is_url)| (port, is_url))
        .collect()
}

/// The port that a text begins with, if the number's end is in sight: the rest of it may be yet to come.
fn port_at(text: &str) -> Option<u16> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (digits < text.len())
        .then(|| text[..digits].parse().ok())?
        .filter(|port| *port > 0)
}

/// A text without the escape sequences of terminals (ECMA-48, "control sequences"): a colour may begin in the middle
/// of an address.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\u{1b}' {
            plain.push(character);
        } else if characters.next_if_eq(&'[').is_some() {
            while characters
                .next()
                .is_some_and(|character| !('\u{40}'..='\u{7e}').contains(&character))
            {}
        }
    }
    plain
}

/// The TCP ports on which the process, its guard's other descendants, and theirs listen. Blocks on `/proc`.
fn listening_ports(pid: u32) -> BTreeSet<u16> {
    let sockets = listening_sockets();
    let mut ports = BTreeSet::new();
    for process in family(pid) {
        for inode in open_sockets(process) {
            ports.extend(sockets.get(&inode));
        }
    }
    ports
}

/// The process and all below its parent, which is its guard: what left the process is adopted there. By their numbers
/// in `/proc`.
fn family(pid: u32) -> Vec<u32> {
    let Ok(numbers) = Numbers::read() else {
        return Vec::new();
    };
    let parents = parents();
    let process = numbers.find(pid, &parents);
    let guard = parents.iter().find(|(child, _)| Some(*child) == process);
    guard.map_or_else(Vec::new, |(_, guard)| descendants_of(*guard, &parents))
}

/// The inodes of a process's sockets.
fn open_sockets(pid: u32) -> Vec<u64> {
    let folder = format!("/proc/{pid}/fd");
    let inode = |fd: u32| {
        let link = std::fs::read_link(Path::new(&folder).join(fd.to_string())).ok()?;
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        inode.parse().ok()
    };
    numbered(&folder).filter_map(inode).collect()
}

/// The entries of a folder that are numbers.
fn numbered(folder: &str) -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The listening TCP sockets of this machine: inode and port (`proc_net(5)`).
fn listening_sockets() -> HashMap<u64, u16> {
    const LISTEN: &str = "0A";
    let mut sockets = HashMap::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = std::fs::read_to_string(table).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields.get(3) != Some(&LISTEN) {
                continue;
            }
            let port = fields.get(1).and_then(|local| local.rsplit_once(':'));
            let port = port.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
            let inode = fields.get(9).and_then(|inode| inode.parse().ok());
            if let (Some(port), Some(inode)) = (port, inode) {
                sockets.insert(inode, port);
            }
        }
    }
    sockets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_address_gives_its_port_once_it_is_whole() {
        let vite = "  Local:   http://localhost:\u{1b}[1m5173\u{1b}[22m/\n";
        for (text, port) in [
            (vite, vec![(5173, true)]),
            (
                "listening on 0.0.0.0:80 and http://127.0.0.1:3000/",
                vec![(80, false), (3000, true)],
            ),
            ("http://[::1]:4321/x", vec![(4321, true)]),
            ("http://localhost:51", vec![]),
            ("http://localhost:99999/", vec![]),
            ("localhost: none", vec![]),
        ] {
            assert_eq!(local_ports(&without_escapes(text)), port, "{text:?}");
        }
    }

    #[test]
    fn an_address_cut_by_a_chunks_end_is_found() {
        let mut finder = PortFinder::new(1, None);
        finder.read("ready at http://local");
        finder.read("host:51");
        finder.read("73/ now\n");
        finder.read("again http://localhost:5173/\n");
        assert_eq!(ports_of(&finder), [5173]);
    }

    fn ports_of(finder: &PortFinder) -> Vec<u16> {
        finder.printed.iter().map(|printed| printed.port).collect()
    }

    #[tokio::test]
    async fn of_the_printed_ports_the_first_that_is_listened_on_is_taken() {
        let mut finder = PortFinder::new(1, None);
        finder.read("connected to postgres at localhost:5432\n");
        let now = Instant::now();
        assert_eq!(finder.judge(&BTreeSet::new(), now + BELIEVE_AFTER), None);
        finder.read("ready on http://localhost:39871/\n");
        assert_eq!(finder.judge(&BTreeSet::from([39871]), now), Some(39871));
    }

    #[tokio::test]
    async fn what_is_only_printed_is_believed_in_time_when_nothing_is_listened_on() {
        tokio::time::pause();
        let mut finder = PortFinder::new(1, None);
        finder.read("postgres at localhost:5432, site at http://localhost:5173/ ");
        let now = Instant::now();
        assert_eq!(finder.judge(&BTreeSet::new(), now), None);
        let url = finder.judge(&BTreeSet::new(), now + BELIEVE_AFTER);
        assert_eq!(url, Some(5173));
        let mut finder = PortFinder::new(1, None);
        finder.read("listening at localhost:5432 ");
        let bare = finder.judge(&BTreeSet::new(), now + BELIEVE_BARE_AFTER);
        assert_eq!(bare, Some(5432));
    }

    #[tokio::test]
    async fn a_port_that_was_not_printed_gives_the_printed_ones_time() {
        let mut finder = PortFinder::new(1, Some(3000));
        finder.read("http://localhost:5173/ ");
        let (now, listening) = (Instant::now(), BTreeSet::from([9, 3000]));
        assert_eq!(finder.judge(&listening, now), None);
        assert_eq!(finder.judge(&BTreeSet::from([3000, 5173]), now), Some(5173));
        let later = finder.judge(&listening, now + BELIEVE_AFTER);
        assert_eq!(later, Some(3000));
    }

    #[tokio::test]
    async fn without_a_word_the_preferred_port_is_taken_at_once_and_any_other_after_a_while() {
        let now = Instant::now();
        let mut finder = PortFinder::new(1, Some(3000));
        assert_eq!(finder.judge(&BTreeSet::from([3000, 9]), now), Some(3000));
        let mut finder = PortFinder::new(1, Some(3000));
        let other = BTreeSet::from([4000]);
        assert_eq!(finder.judge(&other, now), None);
        assert_eq!(finder.judge(&other, now + SETTLE), Some(4000));
    }

    #[test]
    fn the_ports_of_this_process_are_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listening_ports(std::process::id()).contains(&port));
    }
}
