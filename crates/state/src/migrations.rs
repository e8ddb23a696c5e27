//! What all databases' migrations have in common: numbered files, built into the program, and the record of those that
//! were applied.

use sha2::{Digest, Sha256};

use crate::error::StateError;

/// What is being done, as errors say it.
pub(crate) const OPERATION: &str = "migrate the database";

/// One step of a schema's history. It never changes once it was released.
pub(crate) struct Migration {
    pub(crate) version: u32,
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

impl Migration {
    /// What tells this step from another one of the same number.
    pub(crate) fn checksum(&self) -> String {
        let digest = Sha256::digest(self.sql.as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The steps of `own` that are still to be applied to a database that has had `applied`: versions and checksums, by
/// rising version.
///
/// # Errors
/// [`StateError::NewerSchema`] if the database is ahead of this program, [`StateError::ChangedMigration`] if its
/// history is another one.
pub(crate) fn missing<'m>(
    own: &'m [Migration],
    applied: &[(u32, String)],
) -> Result<&'m [Migration], StateError> {
    for (position, (version, found)) in applied.iter().enumerate() {
        let Some(step) = own.get(position) else {
            let found = applied.last().map_or(0, |(version, _)| *version);
            let known = own.last().map_or(0, |step| step.version);
            return Err(StateError::NewerSchema { found, known });
        };
        if step.version != *version || step.checksum() != *found {
            return Err(StateError::ChangedMigration { version: *version });
        }
    }
    Ok(&own[applied.len()..])
}
