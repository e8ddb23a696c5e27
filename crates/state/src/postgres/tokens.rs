//! Tokens of runners in PostgreSQL.

use deadpool_postgres::Object;
use hopline_wire::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use super::convert::{Columns, Millis};
use super::query::{change, row, rows};
use crate::error::StateError;
use crate::rows::RunnerToken;

type Result<T> = std::result::Result<T, StateError>;

pub(super) const INSERT: &str = "INSERT runner_tokens";
pub(super) const SELECT: &str = "SELECT runner_tokens";
pub(super) const UPDATE: &str = "UPDATE runner_tokens";

const COLUMNS: &str = "id, token_hash, runner_id, created_at, revoked_at, last_used_at";

fn token_of(row: &Row, operation: &'static str) -> Result<RunnerToken> {
    let mut columns = Columns::of(row, operation);
    Ok(RunnerToken {
        id: columns.take()?,
        token_hash: columns.take()?,
        runner_id: columns.take()?,
        created_at: columns.time()?,
        revoked_at: columns.time_if_any()?,
        last_used_at: columns.time_if_any()?,
    })
}

pub(super) async fn create(client: &Object, token: &RunnerToken) -> Result<()> {
    let sql = format!("INSERT INTO runner_tokens ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)");
    change(
        client,
        INSERT,
        &sql,
        &[
            &token.id,
            &token.token_hash,
            &token.runner_id,
            &Millis(token.created_at),
            &token.revoked_at.map(Millis),
            &token.last_used_at.map(Millis),
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn all(client: &Object) -> Result<Vec<RunnerToken>> {
    let sql = format!("SELECT {COLUMNS} FROM runner_tokens ORDER BY created_at DESC, id");
    let found = rows(client, SELECT, &sql, &[]).await?;
    found.iter().map(|row| token_of(row, SELECT)).collect()
}

pub(super) async fn live(client: &Object, hashes: &[String]) -> Result<Vec<RunnerToken>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM runner_tokens WHERE token_hash = ANY ($1) AND revoked_at IS NULL"
    );
    let found = rows(client, SELECT, &sql, &[&hashes]).await?;
    found.iter().map(|row| token_of(row, SELECT)).collect()
}

pub(super) async fn note_used(client: &Object, ids: &[Uuid], at: Timestamp) -> Result<()> {
    let sql = "UPDATE runner_tokens SET last_used_at = $1
               WHERE id = ANY ($2) AND COALESCE(last_used_at < $1, true)";
    change(client, UPDATE, sql, &[&Millis(at), &ids]).await?;
    Ok(())
}

pub(super) async fn revoke(
    client: &Object,
    id: Uuid,
    at: Timestamp,
) -> Result<Option<RunnerToken>> {
    let sql = format!(
        "UPDATE runner_tokens SET revoked_at = COALESCE(revoked_at, $1) WHERE id = $2 RETURNING {COLUMNS}"
    );
    let revoked = row(client, UPDATE, &sql, &[&Millis(at), &id]).await?;
    revoked.map(|row| token_of(&row, UPDATE)).transpose()
}
