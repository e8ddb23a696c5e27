//! `DIR/lock`: who holds the folder.
//!
//! The holder has the file locked exclusively and has written into it, as one JSON object, its process id and,
//! once its parts listen, their addresses. Reading needs no lock unless the file says something: then a
//! lock that can be had proves that its writer is dead and the words are stale. The file itself stays
//! for ever, because removing a locked file lets two processes lock two files of one name.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::DataError;

/// The file's name.
pub(super) const FILE: &str = "lock";

/// The file that those have locked, together, who use the holder's server: see [`Hold::close_door`].
const GUESTS: &str = "guests";

/// For how long a lock is tried. Whoever reads a stale file has it locked for an instant.
const PATIENCE: Duration = Duration::from_millis(100);

/// Who holds a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    /// Its process.
    pub(crate) pid: u32,
    /// Its version.
    pub(crate) version: String,
    /// Where its server listens; none while it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<SocketAddr>,
    /// Where its broker listens; none while it starts, or if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) broker: Option<SocketAddr>,
    /// Whether it only reads the folder: it will have no server, and is soon gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) looks: bool,
}

impl Holder {
    /// The server's address for an error.
    pub(super) fn shown_address(&self) -> String {
        self.server
            .map_or_else(String::new, |address| format!(", at http://{address}"))
    }
}

/// The folder, held. Dropped, it is free again.
#[derive(Debug)]
pub(crate) struct Hold {
    file: File,
    folder: PathBuf,
    holder: Holder,
    /// Locked for this process alone, once no guest may come any more. Freed after `file`.
    _door: Option<File>,
}

/// Someone who uses the holder's server. While there is one, the holder's door stays open.
#[derive(Debug)]
pub(crate) struct Guest {
    _file: Option<File>,
}

impl Hold {
    pub(super) fn take(folder: &Path, looks: bool) -> Result<Self, DataError> {
        let path = folder.join(FILE);
        let failed = |source| DataError::cannot_write(folder, source);
        let file = open(&path).map_err(failed)?;
        let deadline = Instant::now() + PATIENCE;
        while !try_lock(&file).map_err(failed)? {
            if Instant::now() >= deadline {
                let holder = read(&file).ok().flatten();
                let holder = holder.unwrap_or_else(|| Holder::of(0, false));
                return Err(DataError::held(folder, holder));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let hold = Self {
            file,
            folder: folder.to_owned(),
            holder: Holder::of(std::process::id(), looks),
            _door: None,
        };
        hold.write(&hold.holder)?;
        Ok(hold)
    }

    /// Tells where the holder's parts listen.
    ///
    /// # Errors
    /// [`DataError::CannotWrite`].
    pub(crate) fn announce(
        &mut self,
        server: SocketAddr,
        broker: Option<SocketAddr>,
    ) -> Result<(), DataError> {
        self.holder.server = Some(server);
        self.holder.broker = broker;
        self.write(&self.holder)
    }

    /// Lets no guest in any more, if none is there: false if one is. From the answer true on, whoever finds the
    /// holder by the lock file waits until it has gone.
    ///
    /// # Errors
    /// [`DataError::CannotWrite`].
    pub(crate) fn close_door(&mut self) -> Result<bool, DataError> {
        let failed = |source| DataError::cannot_write(&self.folder, source);
        let door = open(&self.folder.join(GUESTS)).map_err(failed)?;
        let closed = try_lock(&door).map_err(failed)?;
        if closed {
            self._door = Some(door);
        }
        Ok(closed)
    }

    fn write(&self, holder: &Holder) -> Result<(), DataError> {
        let text = serde_json::to_string(holder).map_err(io::Error::from);
        let written = text.and_then(|text| {
            // One write, so that no reader sees half of it; what is left of a longer text follows as blanks.
            let before = self.file.metadata()?.len();
            let blanks = usize::try_from(before)
                .unwrap_or(0)
                .saturating_sub(text.len() + 1);
            let line = format!("{text}{}\n", " ".repeat(blanks));
            let mut file = &self.file;
            file.rewind()?;
            file.write_all(line.as_bytes())
        });
        written.map_err(|source| DataError::cannot_write(&self.folder, source))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // An empty file spares the next one the question whether its words are stale. If it cannot be
        // emptied, that question is asked.
        let _ = self.file.set_len(0);
    }
}

impl Holder {
    fn of(pid: u32, looks: bool) -> Self {
        Self {
            pid,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            server: None,
            broker: None,
            looks,
        }
    }
}

/// Who holds the folder, if anyone does.
pub(super) fn holder(folder: &Path) -> Result<Option<Holder>, DataError> {
    let path = folder.join(FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if is_absence(&error) => return Ok(None),
        Err(source) => return Err(DataError::read(&path, source)),
    };
    let failed = |source| DataError::read(&path, source);
    let Some(holder) = read(&file).map_err(failed)? else {
        return Ok(None);
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(holder)),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Enters as a guest of the folder's holder; none if its door is closed. Who has entered must look once more whether
/// the holder is still there.
pub(super) fn enter(folder: &Path) -> Option<Guest> {
    // Who may not write there can use the server all the same, only without its waiting for them.
    let Ok(file) = open(&folder.join(GUESTS)) else {
        return Some(Guest { _file: None });
    };
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => None,
        Ok(()) | Err(TryLockError::Error(_)) => Some(Guest { _file: Some(file) }),
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// What the file says; none if it says nothing that can be read.
fn read(mut file: &File) -> io::Result<Option<Holder>> {
    let mut text = String::new();
    file.rewind()?;
    match file.read_to_string(&mut text) {
        Ok(_) => Ok(serde_json::from_str(&text).ok()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::DataFolder;
    use super::*;

    #[test]
    fn a_held_folder_names_its_holder_and_is_free_afterwards() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::at(&temporary.path().join("data"));
        assert_eq!(folder.holder().unwrap(), None);
        let mut hold = folder.hold().unwrap();
        let server: SocketAddr = "127.0.0.1:4700".parse().unwrap();
        hold.announce(server, None).unwrap();
        let holder = folder.holder().unwrap().unwrap();
        assert_eq!(
            (holder.pid, holder.server),
            (std::process::id(), Some(server))
        );
        let refused = folder.hold().unwrap_err();
        assert!(matches!(refused, DataError::Held { .. }));
        let text = refused.to_string();
        assert!(text.contains("belongs to a running Hopline"), "{text}");
        assert!(text.contains("http://127.0.0.1:4700"), "{text}");
        drop(hold);
        assert_eq!(folder.holder().unwrap(), None);
        drop(folder.hold().unwrap());
    }

    #[test]
    fn a_holder_with_guests_keeps_its_door_open_and_a_closed_one_lets_nobody_in() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::at(temporary.path());
        let mut hold = folder.hold().unwrap();
        let guests = [folder.enter().unwrap(), folder.enter().unwrap()];
        for guest in guests {
            assert!(!hold.close_door().unwrap());
            drop(guest);
        }
        assert!(hold.close_door().unwrap());
        assert!(folder.enter().is_none());
        drop(hold);
        assert!(folder.enter().is_some());
    }

    #[test]
    fn who_only_looks_is_told_from_who_stays() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::at(temporary.path());
        let hold = folder.hold_to_look().unwrap();
        assert!(folder.holder().unwrap().unwrap().looks);
        let refused = folder.hold().unwrap_err();
        assert!(matches!(refused, DataError::LookedAt { .. }), "{refused}");
        drop(hold);
        let hold = folder.hold().unwrap();
        assert!(!folder.holder().unwrap().unwrap().looks);
        drop(hold);
    }

    #[test]
    fn the_words_of_a_dead_holder_count_for_nothing() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::at(temporary.path());
        let mut stale = Holder::of(1, false);
        stale.server = Some("127.0.0.1:65535".parse().unwrap());
        let text = serde_json::to_string(&stale).unwrap();
        std::fs::write(temporary.path().join(FILE), text).unwrap();
        assert_eq!(folder.holder().unwrap(), None);
        let hold = folder.hold().unwrap();
        let holder = folder.holder().unwrap().unwrap();
        assert_eq!((holder.pid, holder.server), (std::process::id(), None));
        drop(hold);
    }
}
