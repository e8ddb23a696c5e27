//! DSNs in SQLite.

use hopline_wire::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::convert::{Millis, during, signed, time, time_there};
use crate::error::StateError;
use crate::rows::{Dsn, NewDsn};

type Result<T> = std::result::Result<T, StateError>;

pub(super) const INSERT: &str = "INSERT dsns";
pub(super) const SELECT: &str = "SELECT dsns";
pub(super) const UPDATE: &str = "UPDATE dsns";

const COLUMNS: &str = "number, public_key, name, created_at, revoked_at";

fn dsn_of(row: &Row<'_>) -> rusqlite::Result<Dsn> {
    Ok(Dsn {
        number: row.get::<_, i64>(0)?.unsigned_abs(),
        public_key: row.get(1)?,
        name: row.get(2)?,
        created_at: time_there(row, 3)?,
        revoked_at: time(row, 4)?,
    })
}

pub(super) fn create(connection: &Connection, dsn: &NewDsn) -> Result<Dsn> {
    connection
        .prepare_cached(&format!(
            "INSERT INTO dsns (public_key, name, created_at) VALUES (?, ?, ?) RETURNING {COLUMNS}"
        ))
        .and_then(|mut statement| {
            let values = params![dsn.public_key, dsn.name, Millis(dsn.created_at)];
            statement.query_row(values, dsn_of)
        })
        .map_err(during(INSERT))
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Dsn>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM dsns ORDER BY number"))?
        .query_map([], dsn_of)?
        .collect()
}

pub(super) fn revoke(connection: &Connection, number: u64, at: Timestamp) -> Result<Option<Dsn>> {
    connection
        .prepare_cached(&format!(
            "UPDATE dsns SET revoked_at = COALESCE(revoked_at, ?) WHERE number = ? RETURNING {COLUMNS}"
        ))
        .and_then(|mut statement| {
            let values = params![Millis(at), signed(number)];
            statement.query_row(values, dsn_of).optional()
        })
        .map_err(during(UPDATE))
}
