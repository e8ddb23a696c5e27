//! Reads what the preloaded library has written down, and makes of it the files as a power cut would have left them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Something that reached the system.
pub(crate) enum Operation {
    Write {
        path: PathBuf,
        offset: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        path: PathBuf,
        length: usize,
    },
    /// Of a file or a folder.
    Sync {
        path: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
}

/// What of the unsynced writes a power cut leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// None of them, and no file that its folder was not synced for.
    Nothing,
    /// All of them.
    Everything,
    /// Some of them whole, some as far as their middle, some not at all: disks write in any order. Which, follows from the
    /// number.
    Some(u64),
}

impl Left {
    pub(crate) const ALL: [Self; 4] = [
        Self::Nothing,
        Self::Everything,
        Self::Some(1),
        Self::Some(2),
    ];

    /// How much it leaves of the write at this place among the unsynced ones of a file.
    fn of(self, place: usize) -> Share {
        match self {
            Self::Nothing => Share::None,
            Self::Everything => Share::Whole,
            Self::Some(number) => {
                // Any mixing does that has no pattern in common with SQLite's pairs of header and page.
                let mixed =
                    (place as u64 + 1).wrapping_mul(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
                [Share::None, Share::Half, Share::Whole][(mixed >> 33) as usize % 3]
            }
        }
    }
}

/// How much is left of a write.
#[derive(Clone, Copy)]
enum Share {
    None,
    Half,
    Whole,
}

/// Reads a journal; see `seam.c` for its form.
pub(crate) fn read(journal: &Path) -> Vec<Operation> {
    let bytes = std::fs::read(journal).unwrap();
    let mut rest = bytes.as_slice();
    let mut operations = Vec::new();
    while let Some((kind, after)) = rest.split_first() {
        let (numbers, after) = after.split_at(24);
        let number = |place: usize| {
            let bytes = numbers[8 * place..][..8].try_into().unwrap();
            usize::try_from(u64::from_ne_bytes(bytes)).unwrap()
        };
        let (offset, path_length, length) = (number(0), number(1), number(2));
        let (path, after) = after.split_at(path_length);
        let (bytes, after) = after.split_at(length);
        rest = after;
        let path = PathBuf::from(std::str::from_utf8(path).unwrap());
        operations.push(match kind {
            b'W' => Operation::Write {
                path,
                offset,
                bytes: bytes.to_vec(),
            },
            b'T' => Operation::Truncate {
                path,
                length: offset,
            },
            b'S' => Operation::Sync { path },
            b'U' => Operation::Remove { path },
            other => panic!("a record of kind {other}"),
        });
    }
    operations
}

/// A file: what is on disk of it, and what was done to it since.
#[derive(Default)]
struct File<'o> {
    synced: Vec<u8>,
    since: Vec<&'o Operation>,
    is_removed: bool,
    /// Whether the folder was synced since the file was made.
    is_named: bool,
}

fn apply(content: &mut Vec<u8>, operation: &Operation, half: bool) {
    match operation {
        Operation::Write { offset, bytes, .. } => {
            let bytes = if half {
                &bytes[..bytes.len() / 2]
            } else {
                bytes
            };
            let end = offset + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*offset..end].copy_from_slice(bytes);
        }
        Operation::Truncate { length, .. } => content.resize(*length, 0),
        Operation::Sync { .. } | Operation::Remove { .. } => {}
    }
}

/// Makes in `to` the files of `folder` as they are after these operations and a cut that leaves so much.
pub(crate) fn restore(operations: &[Operation], left: Left, folder: &Path, to: &Path) {
    let mut files: BTreeMap<&Path, File<'_>> = BTreeMap::new();
    for operation in operations {
        match operation {
            Operation::Write { path, .. } | Operation::Truncate { path, .. } => {
                let file = files.entry(path).or_default();
                if std::mem::take(&mut file.is_removed) {
                    *file = File::default();
                }
                file.since.push(operation);
            }
            Operation::Sync { path } if path == folder => {
                files.retain(|_, file| !file.is_removed);
                files.values_mut().for_each(|file| file.is_named = true);
            }
            Operation::Sync { path } => {
                let file = files.entry(path).or_default();
                for operation in file.since.drain(..) {
                    apply(&mut file.synced, operation, false);
                }
            }
            Operation::Remove { path } => files.entry(path).or_default().is_removed = true,
        }
    }
    for (path, file) in files {
        // SQLite's shared index of the log lives in memory, and is made anew after a cut.
        let is_index = path.to_str().unwrap().ends_with("-shm");
        let is_gone = match left {
            Left::Nothing => !file.is_named,
            Left::Everything | Left::Some(_) => file.is_removed,
        };
        if is_index || is_gone {
            continue;
        }
        let mut content = file.synced;
        for (place, operation) in file.since.iter().enumerate() {
            match left.of(place) {
                Share::None => {}
                Share::Half => apply(&mut content, operation, true),
                Share::Whole => apply(&mut content, operation, false),
            }
        }
        std::fs::write(to.join(path.strip_prefix(folder).unwrap()), content).unwrap();
    }
}
