//! Tokens of runners in SQLite.

use hopline_wire::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::convert::{Id, Millis, during, list, time, time_there};
use crate::error::StateError;
use crate::rows::RunnerToken;

type Result<T> = std::result::Result<T, StateError>;

pub(super) const INSERT: &str = "INSERT runner_tokens";
pub(super) const SELECT: &str = "SELECT runner_tokens";
pub(super) const UPDATE: &str = "UPDATE runner_tokens";

const COLUMNS: &str = "id, token_hash, runner_id, created_at, revoked_at, last_used_at";

fn token_of(row: &Row<'_>) -> rusqlite::Result<RunnerToken> {
    Ok(RunnerToken {
        id: row.get::<_, Id>(0)?.0,
        token_hash: row.get(1)?,
        runner_id: row.get(2)?,
        created_at: time_there(row, 3)?,
        revoked_at: time(row, 4)?,
        last_used_at: time(row, 5)?,
    })
}

pub(super) fn create(connection: &Connection, token: &RunnerToken) -> Result<()> {
    connection
        .prepare_cached(&format!(
            "INSERT INTO runner_tokens ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"
        ))
        .and_then(|mut statement| {
            statement.execute(params![
                Id(token.id),
                token.token_hash,
                token.runner_id,
                Millis(token.created_at),
                token.revoked_at.map(Millis),
                token.last_used_at.map(Millis),
            ])
        })
        .map_err(during(INSERT))?;
    Ok(())
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<RunnerToken>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM runner_tokens ORDER BY created_at DESC, id"
        ))?
        .query_map([], token_of)?
        .collect()
}

pub(super) fn live(
    connection: &Connection,
    hashes: &[String],
) -> rusqlite::Result<Vec<RunnerToken>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM runner_tokens
             WHERE token_hash IN (SELECT value FROM json_each(?)) AND revoked_at IS NULL"
        ))?
        .query_map([list(hashes.iter().cloned())], token_of)?
        .collect()
}

pub(super) fn note_used(connection: &Connection, ids: &[Uuid], at: Timestamp) -> Result<()> {
    let ids = list(ids.iter().map(|id| id.hyphenated().to_string()));
    connection
        .prepare_cached(
            "UPDATE runner_tokens SET last_used_at = ?1
             WHERE id IN (SELECT value FROM json_each(?2)) AND COALESCE(last_used_at < ?1, TRUE)",
        )
        .and_then(|mut statement| statement.execute(params![Millis(at), ids]))
        .map_err(during(UPDATE))?;
    Ok(())
}

pub(super) fn revoke(
    connection: &Connection,
    id: Uuid,
    at: Timestamp,
) -> Result<Option<RunnerToken>> {
    connection
        .prepare_cached(&format!(
            "UPDATE runner_tokens SET revoked_at = COALESCE(revoked_at, ?) WHERE id = ? RETURNING {COLUMNS}"
        ))
        .and_then(|mut statement| {
            statement
                .query_row(params![Millis(at), Id(id)], token_of)
                .optional()
        })
        .map_err(during(UPDATE))
}
