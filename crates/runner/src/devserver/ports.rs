//! Which port a dev server listens on: by what it prints, held against what its processes really listen on.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

/// A printed port that no process of the server listens on is believed after this: it may listen where `/proc` does not
/// show it, in a container say.
const BELIEVE_AFTER: Duration = Duration::from_secs(3);

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
    printed: Option<(u16, Instant)>,
    listening_since: Option<Instant>,
    started: Instant,
    tail: String,
    found: bool,
}

impl PortFinder {
    /// For the server whose program is the process `pid`.
    pub(super) fn new(pid: u32, preferred: Option<u16>) -> Self {
        Self {
            pid,
            preferred,
            printed: None,
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
        if self.printed.is_some() || !self.is_looking() {
            return;
        }
        self.tail.push_str(text);
        self.printed = local_port(&without_escapes(&self.tail)).map(|port| (port, Instant::now()));
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
        if let Some((printed, since)) = self.printed {
            let believed = listening.contains(&printed) || now >= since + BELIEVE_AFTER;
            return believed.then_some(printed);
        }
        let first = *listening.first()?;
        let since = *self.listening_since.get_or_insert(now);
        let preferred = self.preferred.filter(|port| listening.contains(port));
        preferred.or_else(|| (now >= since + SETTLE).then_some(first))
    }
}

/// The port of the first address of this machine in a text.
fn local_port(text: &str) -> Option<u16> {
    const HOSTS: [&str; 5] = ["localhost:", "127.0.0.1:", "0.0.0.0:", "[::1]:", "[::]:"];
    let first = |host: &&str| {
        text.match_indices(host)
            .find_map(|(at, _)| Some((at, port_at(&text[at + host.len()..])?)))
    };
    let found = HOSTS.iter().filter_map(first).min();
    found.map(|(_, port)| port)
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
    for pid in family(pid) {
        for inode in open_sockets(pid) {
            ports.extend(sockets.get(&inode));
        }
    }
    ports
}

/// The process and all below its parent, which is its guard: what left the process is adopted there.
fn family(pid: u32) -> HashSet<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut guard = None;
    for process in numbered("/proc") {
        if let Some(parent) = parent_of(process) {
            children.entry(parent).or_default().push(process);
            if process == pid {
                guard = Some(parent);
            }
        }
    }
    let mut family = HashSet::new();
    let mut todo: Vec<u32> = guard.into_iter().collect();
    while let Some(process) = todo.pop() {
        for child in children.get(&process).into_iter().flatten() {
            if family.insert(*child) {
                todo.push(*child);
            }
        }
    }
    family
}

/// A process's parent (`proc_pid_stat(5)`: the second field after the name, which may hold anything).
fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
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
            (vite, Some(5173)),
            (
                "listening on 0.0.0.0:80 and http://127.0.0.1:3000/",
                Some(80),
            ),
            ("http://[::1]:4321/x", Some(4321)),
            ("http://localhost:51", None),
            ("http://localhost:99999/", None),
            ("localhost: none", None),
        ] {
            assert_eq!(local_port(&without_escapes(text)), port, "{text:?}");
        }
    }

    #[test]
    fn an_address_cut_by_a_chunks_end_is_found() {
        let mut finder = PortFinder::new(1, None);
        finder.read("ready at http://local");
        finder.read("host:51");
        finder.read("73/ now\n");
        assert_eq!(finder.printed.map(|(port, _)| port), Some(5173));
    }

    #[tokio::test]
    async fn a_printed_port_is_believed_when_it_is_listened_on_or_in_time() {
        let mut finder = PortFinder::new(1, Some(3000));
        finder.read("http://localhost:5173/ ");
        let now = Instant::now();
        assert_eq!(finder.judge(&BTreeSet::from([3000]), now), None);
        assert_eq!(finder.judge(&BTreeSet::from([3000, 5173]), now), Some(5173));
        let later = now + BELIEVE_AFTER;
        assert_eq!(finder.judge(&BTreeSet::new(), later), Some(5173));
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
