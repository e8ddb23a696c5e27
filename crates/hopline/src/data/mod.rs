//! The data folder: everything embedded, the secrets, and who holds it.
//!
//! ```text
//! DIR/hopline.db   the rows                    DIR/secrets  the credentials, mode 0600
//! DIR/traces/log/  the spans                   DIR/lock     who holds the folder, and where to reach it
//! DIR/projects/    the runner's projects   DIR/guests   locked by those who use the holder's server
//! ```
//!
//! One Hopline at a time holds a folder; others on the machine find it by the lock file and talk to it
//! over its addresses. The lock is the kernel's (`flock`), so it ends with its holder, however that dies.

mod error;
mod lock;
mod secrets;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

pub(crate) use error::DataError;
pub(crate) use lock::{Guest, Hold, Holder};
pub(crate) use secrets::Secrets;

/// A data folder, there or not.
#[derive(Debug, Clone)]
pub(crate) struct DataFolder {
    path: PathBuf,
}

impl DataFolder {
    /// The folder at this path.
    pub(crate) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder, open to its owner alone, if it is not there.
    ///
    /// # Errors
    /// [`DataError::CannotWrite`].
    pub(crate) fn create(&self) -> Result<(), DataError> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path);
        made.map_err(|source| DataError::cannot_write(&self.path, source))
    }

    /// Takes the folder for this process.
    ///
    /// # Errors
    /// [`DataError::Held`] or [`DataError::LookedAt`] if another process has it, [`DataError::CannotWrite`] if it
    /// cannot be written.
    pub(crate) fn hold(&self) -> Result<Hold, DataError> {
        self.create()?;
        Hold::take(&self.path, false)
    }

    /// Takes the folder for as long as it takes to read something: others wait for that.
    ///
    /// # Errors
    /// As [`DataFolder::hold`].
    pub(crate) fn hold_to_look(&self) -> Result<Hold, DataError> {
        self.create()?;
        Hold::take(&self.path, true)
    }

    /// Enters as a guest of whoever holds the folder, so that its server stays for as long; none if it is leaving.
    /// Who has entered must ask [`DataFolder::holder`] once more.
    pub(crate) fn enter(&self) -> Option<Guest> {
        lock::enter(&self.path)
    }

    /// Who holds the folder, if anyone does.
    ///
    /// # Errors
    /// [`DataError::Read`] if the lock file is there and cannot be read.
    pub(crate) fn holder(&self) -> Result<Option<Holder>, DataError> {
        lock::holder(&self.path)
    }

    /// The credentials kept here, if there are any.
    ///
    /// # Errors
    /// [`DataError::Open`] if others may read the file, or another [`DataError`].
    pub(crate) fn secrets(&self) -> Result<Option<Secrets>, DataError> {
        secrets::read(&self.path)
    }

    /// The credentials kept here, made if there are none.
    ///
    /// # Errors
    /// As [`DataFolder::secrets`], and [`DataError::CannotWrite`].
    pub(crate) fn secrets_or_new(&self) -> Result<Secrets, DataError> {
        if let Some(secrets) = self.secrets()? {
            return Ok(secrets);
        }
        self.create()?;
        secrets::make(&self.path)?;
        self.secrets()?.ok_or_else(|| {
            let gone = io::Error::from(io::ErrorKind::NotFound);
            DataError::cannot_write(&self.path, gone)
        })
    }

    /// Whether a Hopline has ever written here.
    pub(crate) fn is_there(&self) -> bool {
        self.path.join(lock::FILE).exists() || self.path.join(secrets::FILE).exists()
    }
}
