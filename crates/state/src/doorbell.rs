//! How servers on one database tell each other that builds have moved on.
//!
//! A bell says which build and how far; what happened is read from the rows. So one that is lost costs a watcher time, not
//! truth, and one that rings twice costs nothing.

use async_trait::async_trait;
use uuid::Uuid;

use crate::error::StateError;

/// A build that another server has moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Its project.
    pub project_id: Uuid,
    /// The build.
    pub session_id: Uuid,
    /// Its last event.
    pub seq: u64,
    /// Whether rows have changed otherwise than by its events and decisions.
    pub anew: bool,
}

/// What was heard of the other servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Builds that they have moved on, each once.
    Moved(Vec<Moved>),
    /// Nothing could be heard for a while: anything may have moved.
    Missed,
}

/// A database's bell.
#[async_trait]
pub trait Doorbell: Send + Sync {
    /// Tells all other servers. What is told must be committed.
    ///
    /// # Errors
    /// [`StateError`] if some may not have been told.
    async fn ring(&self, moved: &[Moved]) -> Result<(), StateError>;

    /// What the others have told since the last call. Waits until there is something, however long the database is away.
    async fn heard(&self) -> Heard;
}
