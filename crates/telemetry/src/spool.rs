//! Batches that wait on disk for an endpoint that is away: one file each, the oldest sent first.
//!
//! It is there for hours without a network, not for power cuts: files are not synced. A file bears its name only once it is
//! written whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use parking_lot::Mutex;

/// A folder of batches.
#[derive(Clone)]
pub struct Spool {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    most_bytes: u64,
    files: Mutex<Files>,
}

#[derive(Default)]
struct Files {
    /// By their numbers, those apart that are being sent.
    waiting: BTreeMap<u64, Kept>,
    next: u64,
    /// Of all of them.
    bytes: u64,
}

/// A batch on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    number: u64,
    pub(crate) spans: u64,
    bytes: u64,
}

impl Kept {
    fn path(self, folder: &Path) -> PathBuf {
        folder.join(format!("{:016}-{}.batch", self.number, self.spans))
    }

    fn of_path(path: &Path, bytes: u64) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_suffix(".batch")?;
        let (number, spans) = name.split_once('-')?;
        Some(Self {
            number: number.parse().ok()?,
            spans: spans.parse().ok()?,
            bytes,
        })
    }
}

impl Spool {
    /// The batches in a folder, which is made if it is not there. No more than so many bytes are kept in it.
    ///
    /// # Errors
    /// If the folder can be neither read nor made.
    pub fn open(folder: PathBuf, most_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut files = Files::default();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let bytes = fs::metadata(&path)?.len();
            match Kept::of_path(&path, bytes) {
                Some(kept) => {
                    files.bytes += bytes;
                    files.next = files.next.max(kept.number + 1);
                    files.waiting.insert(kept.number, kept);
                }
                // A crash came before it had its name.
                None if path.extension().is_some_and(|extension| extension == "new") => {
                    fs::remove_file(&path)?;
                }
                None => {}
            }
        }
        let shared = Arc::new(Shared {
            folder,
            most_bytes,
            files: Mutex::new(files),
        });
        Ok(Self { shared })
    }

    /// How many spans wait in it.
    pub(crate) fn spans(&self) -> u64 {
        let files = self.shared.files.lock();
        files.waiting.values().map(|kept| kept.spans).sum()
    }

    /// Keeps a batch, if there is room for it.
    pub(crate) fn put(&self, body: &[u8], spans: u64) -> io::Result<bool> {
        let bytes = body.len() as u64;
        let kept = {
            let mut files = self.shared.files.lock();
            if files.bytes + bytes > self.shared.most_bytes {
                return Ok(false);
            }
            files.bytes += bytes;
            files.next += 1;
            Kept {
                number: files.next - 1,
                spans,
                bytes,
            }
        };
        let path = kept.path(&self.shared.folder);
        let unnamed = path.with_extension("new");
        let written = fs::write(&unnamed, body).and_then(|()| fs::rename(&unnamed, &path));
        let mut files = self.shared.files.lock();
        match written {
            Ok(()) => {
                files.waiting.insert(kept.number, kept);
                Ok(true)
            }
            Err(error) => {
                files.bytes -= bytes;
                // A full disk has better uses for half a batch.
                let _ = fs::remove_file(&unnamed);
                Err(error)
            }
        }
    }

    /// The oldest batch; it stays on disk until it is [removed](Self::remove) or [given back](Self::give_back). One that
    /// cannot be read is let go, and its spans with it.
    pub(crate) fn take(&self) -> Option<(Kept, io::Result<Vec<u8>>)> {
        let (_, kept) = self.shared.files.lock().waiting.pop_first()?;
        Some((kept, fs::read(kept.path(&self.shared.folder))))
    }

    /// Takes back what was not sent.
    pub(crate) fn give_back(&self, kept: Kept) {
        self.shared.files.lock().waiting.insert(kept.number, kept);
    }

    /// Removes a batch for ever.
    pub(crate) fn remove(&self, kept: Kept) {
        let path = kept.path(&self.shared.folder);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "a batch of spans that was sent could not be removed, and may be sent again");
        }
        self.shared.files.lock().bytes -= kept.bytes;
    }
}
