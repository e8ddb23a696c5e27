//! What can go wrong with the rows, told so that a caller knows whether trying again helps.

/// Why the store did not do what was asked. Every variant names the operation.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The database cannot do it just now. Nothing was changed, unless it is [`Reason::InDoubt`].
    #[error("{operation}: {reason}")]
    Unavailable {
        /// What was being done, such as `INSERT runner_events`.
        operation: &'static str,
        /// Why not.
        reason: Reason,
        /// The database's own code, where it gave one.
        code: Option<String>,
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
        code: Option<String>,
        /// What the database said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a database cannot do something just now. They call for different remedies, so spans and metrics tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// No connection became free in time, or the database gives out no more of them.
    #[error("no connection to the database was free in time")]
    PoolExhausted,
    /// Others hold a lock for too long, or two waited for each other.
    #[error("others hold what it needs locked")]
    Locked,
    /// A statement took longer than it may.
    #[error("a statement took longer than it may")]
    Slow,
    /// The database cannot be reached, or the connection broke before `COMMIT` was sent.
    #[error("the database cannot be reached, or its connection broke")]
    Disconnected,
    /// The connection broke after `COMMIT` was sent, and so far nobody could say whether it took place.
    #[error("the connection broke during COMMIT, and whether it took place is not known")]
    InDoubt,
    /// It takes no writes: a replica, or one that was told so.
    #[error("the database takes no writes")]
    ReadOnly,
    /// Its disk or its memory is full.
    #[error("the database has no room left")]
    NoRoom,
    /// Anything else: an I/O error, say, or a database that is being closed.
    #[error("the database is not available")]
    Other,
}

impl Reason {
    /// Every reason, since a zero is worth showing.
    pub const ALL: [Self; 8] = [
        Self::PoolExhausted,
        Self::Locked,
        Self::Slow,
        Self::Disconnected,
        Self::InDoubt,
        Self::ReadOnly,
        Self::NoRoom,
        Self::Other,
    ];

    /// What spans (`error.type`) and metrics call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PoolExhausted => "database_pool_exhausted",
            Self::Locked => "database_locked",
            Self::Slow => "database_slow",
            Self::Disconnected => "database_disconnected",
            Self::InDoubt => "database_commit_in_doubt",
            Self::ReadOnly => "database_read_only",
            Self::NoRoom => "database_no_room",
            Self::Other => "database_unavailable",
        }
    }
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

/// What spans and metrics call a failure that trying again will not mend.
pub const REFUSED: &str = "database_refused";

impl StateError {
    /// That the database cannot do `operation` just now, for no reason that has a name.
    pub fn unavailable(
        operation: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable {
            operation,
            reason: Reason::Other,
            code: None,
            source: source.into(),
        }
    }

    /// What spans (`error.type`) and metrics call it.
    #[must_use]
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::Unavailable { reason, .. } => reason.as_str(),
            _ => REFUSED,
        }
    }

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
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Unavailable { code, .. } | Self::Broken { code, .. } => code.as_deref(),
            _ => None,
        }
    }
}
