//! DSNs in PostgreSQL.

use deadpool_postgres::Object;
use hopline_wire::Timestamp;
use tokio_postgres::Row;

use super::convert::{Columns, Millis};
use super::query::{row, rows};
use crate::error::StateError;
use crate::rows::{Dsn, NewDsn};

type Result<T> = std::result::Result<T, StateError>;

pub(super) const INSERT: &str = "INSERT dsns";
pub(super) const SELECT: &str = "SELECT dsns";
pub(super) const UPDATE: &str = "UPDATE dsns";

const COLUMNS: &str = "number, public_key, name, created_at, revoked_at";

fn dsn_of(row: &Row, operation: &'static str) -> Result<Dsn> {
    let mut columns = Columns::of(row, operation);
    Ok(Dsn {
        number: columns.take::<i64>()?.unsigned_abs(),
        public_key: columns.take()?,
        name: columns.take()?,
        created_at: columns.time()?,
        revoked_at: columns.time_if_any()?,
    })
}

pub(super) async fn create(client: &Object, dsn: &NewDsn) -> Result<Dsn> {
    let sql = format!(
        "INSERT INTO dsns (public_key, name, created_at) VALUES ($1, $2, $3) RETURNING {COLUMNS}"
    );
    let created_at = Millis(dsn.created_at);
    let mut made = rows(
        client,
        INSERT,
        &sql,
        &[&dsn.public_key, &dsn.name, &created_at],
    )
    .await?;
    // One that gives no row has failed.
    dsn_of(&made.remove(0), INSERT)
}

pub(super) async fn all(client: &Object) -> Result<Vec<Dsn>> {
    let sql = format!("SELECT {COLUMNS} FROM dsns ORDER BY number");
    let found = rows(client, SELECT, &sql, &[]).await?;
    found.iter().map(|row| dsn_of(row, SELECT)).collect()
}

pub(super) async fn revoke(client: &Object, number: u64, at: Timestamp) -> Result<Option<Dsn>> {
    let sql = format!(
        "UPDATE dsns SET revoked_at = COALESCE(revoked_at, $1) WHERE number = $2 RETURNING {COLUMNS}"
    );
    let number = number.cast_signed();
    let revoked = row(client, UPDATE, &sql, &[&Millis(at), &number]).await?;
    revoked.map(|row| dsn_of(&row, UPDATE)).transpose()
}
