//! What can go wrong with the rows, told so that a caller knows whether trying again helps.

/// Why the store did not do what was asked. Every variant names the operation.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The database cannot do it just now: busy, no room, an I/O error. Nothing was changed.
    #[error("{operation}: the database is not available")]
    Unavailable {
        /// What was being done, such as `INSERT runner_events`.
        operation: &'static str,
        /// The database's own code, where it gave one.
        code: Option<i32>,
        /// What the database said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The rows as they stand forbid it. Nothing was changed.
    #[error("{operation}: {conflict}")]
    Conflict {
        /// What was being done.
        operation: &'static str,
        /// What stands in the way.
        conflict: Conflict,
    },
    /// The database was written by a newer version of the program.
    #[error(
        "open the database: its schema is of version {found}, this program knows versions up to {known}: run a newer hopline, or give another --database"
    )]
    NewerSchema {
        /// The version found.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// A migration that was applied is not the one that this program has under that number.
    #[error("open the database: migration {version} is not the one that was applied")]
    ChangedMigration {
        /// The migration's number.
        version: u32,
    },
    /// The database or the request is broken, and will be when tried again.
    #[error("{operation}: the database refuses it for good")]
    Broken {
        /// What was being done.
        operation: &'static str,
        /// The database's own code, where it gave one.
        code: Option<i32>,
        /// What the database said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Rows that stand in the way of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Another project has the slug.
    #[error("another project has this slug")]
    SlugTaken,
    /// The project has a build that has not ended.
    #[error("the project has a build that is still running")]
    BuildRunning,
    /// A row that the change refers to is gone, or one that it makes is there.
    #[error("a row that it needs is gone, or one that it makes is there already")]
    Rows,
}

impl StateError {
    /// Whether the same request may succeed later without anyone mending anything else.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// The operation that failed.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        match self {
            Self::Unavailable { operation, .. }
            | Self::Conflict { operation, .. }
            | Self::Broken { operation, .. } => operation,
            Self::NewerSchema { .. } | Self::ChangedMigration { .. } => "open the database",
        }
    }

    /// The database's own code for the failure, where there is one.
    #[must_use]
    pub const fn code(&self) -> Option<i32> {
        match self {
            Self::Unavailable { code, .. } | Self::Broken { code, .. } => *code,
            _ => None,
        }
    }
}
