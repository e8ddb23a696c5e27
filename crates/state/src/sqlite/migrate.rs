//! Bringing the database's schema up to this program's version.
//!
//! Migrations are numbered files, built into the program. All that are missing are applied in one
//! transaction that holds the write lock, so that two programs starting at once apply each of them once, and a
//! crash leaves the old schema or the new one. `schema_migrations` keeps what was applied with its checksum.

use hopline_wire::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::convert::{during, signed};
use crate::error::StateError;
use crate::migrations::{Migration, OPERATION, missing};

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "rows_and_log",
        sql: include_str!("../../migrations/sqlite/0001_rows_and_log.sql"),
    },
    Migration {
        version: 2,
        name: "runner_tokens",
        sql: include_str!("../../migrations/sqlite/0002_runner_tokens.sql"),
    },
    Migration {
        version: 3,
        name: "dsns",
        sql: include_str!("../../migrations/sqlite/0003_dsns.sql"),
    },
    Migration {
        version: 4,
        name: "dashboards",
        sql: include_str!("../../migrations/sqlite/0004_dashboards.sql"),
    },
];

/// Applies the migrations that are missing.
///
/// # Errors
/// [`StateError::NewerSchema`] if the database is ahead of this program, [`StateError::ChangedMigration`] if its
/// history is another one, or what SQLite said; then the schema is as it was.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StateError> {
    if missing(MIGRATIONS, &applied(connection)?)?.is_empty() {
        return Ok(());
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(during(OPERATION))?;
    // Another program may have come first while this one waited for the lock.
    let missing = missing(MIGRATIONS, &applied(&transaction)?)?;
    transaction
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS schema_migrations (
                 version    INTEGER NOT NULL PRIMARY KEY,
                 name       TEXT    NOT NULL,
                 checksum   TEXT    NOT NULL,
                 applied_at INTEGER NOT NULL
             ) STRICT",
        )
        .map_err(during(OPERATION))?;
    for migration in missing {
        transaction
            .execute_batch(migration.sql)
            .and_then(|()| {
                transaction.execute(
                    "INSERT INTO schema_migrations VALUES (?, ?, ?, ?)",
                    params![
                        migration.version,
                        migration.name,
                        migration.checksum(),
                        signed(Timestamp::now().as_millis()),
                    ],
                )
            })
            .map_err(during(OPERATION))?;
    }
    transaction.commit().map_err(during(OPERATION))
}

/// The migrations that the database has had: versions and checksums.
fn applied(connection: &Connection) -> Result<Vec<(u32, String)>, StateError> {
    let exists = connection
        .query_row(
            "SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations'",
            [],
            |_| Ok(()),
        )
        .optional()
        .map_err(during(OPERATION))?;
    if exists.is_none() {
        return Ok(Vec::new());
    }
    let mut statement = connection
        .prepare("SELECT version, checksum FROM schema_migrations ORDER BY version")
        .map_err(during(OPERATION))?;
    statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect)
        .map_err(during(OPERATION))
}
