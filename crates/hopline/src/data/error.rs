//! What can be wrong with a data folder.

use std::io;
use std::path::{Path, PathBuf};

use super::lock::Holder;
use crate::exit;

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    /// Another Hopline has it.
    #[error(
        "take the data folder {path}: it belongs to a running Hopline (pid {pid}{at}): stop that one, or name another folder with --data",
        pid = .holder.pid, at = .holder.shown_address(), path = .path.display()
    )]
    Held {
        /// The folder.
        path: PathBuf,
        /// Who has it.
        holder: Holder,
    },
    /// Another command reads it.
    #[error(
        "take the data folder {path}: another hopline (pid {pid}) has been reading it for long: wait for its end, or end it",
        pid = .holder.pid, path = .path.display()
    )]
    LookedAt {
        /// The folder.
        path: PathBuf,
        /// Who reads it.
        holder: Holder,
    },
    /// It cannot be written.
    #[error("write the data folder {path}: it cannot be written: name another with --data", path = .path.display())]
    CannotWrite {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file in it cannot be read.
    #[error("read {path}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others on the machine may read the secrets.
    #[error(
        "read the secrets: others may read {path} (mode {mode:03o}): close it with: chmod 600 {path}",
        path = .path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file of secrets is not what this program writes.
    #[error("read the secrets: {path}: {problem}", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong; never a secret.
        problem: String,
    },
}

impl DataError {
    pub(super) fn held(path: &Path, holder: Holder) -> Self {
        let path = path.to_owned();
        match holder.looks {
            true => Self::LookedAt { path, holder },
            false => Self::Held { path, holder },
        }
    }

    pub(super) fn cannot_write(path: &Path, source: io::Error) -> Self {
        Self::CannotWrite {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            source,
        }
    }

    /// The program's exit code.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Held { .. } | Self::LookedAt { .. } => exit::TAKEN,
            Self::CannotWrite { .. } => exit::CANNOT_WRITE,
            Self::Read { .. } | Self::Open { .. } | Self::Malformed { .. } => exit::FORBIDDEN,
        }
    }
}
