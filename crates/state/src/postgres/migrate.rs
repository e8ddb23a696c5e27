//! Bringing the database's schema up to this program's version.
//!
//! All missing migrations are applied in one transaction that holds a lock of the database's own, so that of several servers
//! that start at once one applies each of them and the others wait; a crash leaves the old schema or the new one.

use hopline_wire::Timestamp;
use tokio_postgres::{Client, GenericClient};

use super::convert::{Columns, Millis, during};
use crate::error::StateError;
use crate::migrations::{Migration, OPERATION, missing};

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "rows_and_log",
        sql: include_str!("../../migrations/postgres/0001_rows_and_log.sql"),
    },
    Migration {
        version: 2,
        name: "runner_tokens",
        sql: include_str!("../../migrations/postgres/0002_runner_tokens.sql"),
    },
    Migration {
        version: 3,
        name: "dsns",
        sql: include_str!("../../migrations/postgres/0003_dsns.sql"),
    },
    Migration {
        version: 4,
        name: "dashboards",
        sql: include_str!("../../migrations/postgres/0004_dashboards.sql"),
    },
];

/// The lock's number: "hopline" in ASCII. Nobody else in the database is likely to have taken it.
const LOCK: i64 = 0x0068_6f70_6c69_6e65;

/// Applies the migrations that are missing.
///
/// # Errors
/// [`StateError::NewerSchema`] if the database is ahead of this program, [`StateError::ChangedMigration`] if its
/// history is another one, or what PostgreSQL said; then the schema is as it was.
pub(super) async fn migrate(client: &mut Client) -> Result<(), StateError> {
    if missing(MIGRATIONS, &applied(client).await?)?.is_empty() {
        return Ok(());
    }
    let failed = during(OPERATION);
    let transaction = client.transaction().await.map_err(&failed)?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await
        .map_err(&failed)?;
    transaction
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations (
                 version    integer     NOT NULL PRIMARY KEY,
                 name       text        NOT NULL,
                 checksum   text        NOT NULL,
                 applied_at timestamptz NOT NULL
             )",
        )
        .await
        .map_err(&failed)?;
    // Another server may have come first while this one waited for the lock.
    for migration in missing(MIGRATIONS, &applied(&transaction).await?)? {
        transaction
            .batch_execute(migration.sql)
            .await
            .map_err(&failed)?;
        let version = i32::try_from(migration.version).unwrap_or(i32::MAX);
        transaction
            .execute(
                "INSERT INTO schema_migrations VALUES ($1, $2, $3, $4)",
                &[
                    &version,
                    &migration.name,
                    &migration.checksum(),
                    &Millis(Timestamp::now()),
                ],
            )
            .await
            .map_err(&failed)?;
    }
    transaction.commit().await.map_err(&failed)
}

/// The migrations that the database has had: versions and checksums.
async fn applied(client: &impl GenericClient) -> Result<Vec<(u32, String)>, StateError> {
    let failed = during(OPERATION);
    let exists = client
        .query_one("SELECT to_regclass('schema_migrations') IS NOT NULL", &[])
        .await
        .map_err(&failed)?;
    if !Columns::of(&exists, OPERATION).take::<bool>()? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "SELECT version, checksum FROM schema_migrations ORDER BY version",
            &[],
        )
        .await
        .map_err(&failed)?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row, OPERATION);
            Ok((columns.small()?, columns.take()?))
        })
        .collect()
}
