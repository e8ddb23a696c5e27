//! The console's dashboards in SQLite.

use hopline_wire::Timestamp;
use rusqlite::{Connection, OptionalExtension, ToSql};

use super::convert::{Millis, during, number, signed, time_there};
use crate::error::StateError;
use crate::reading::{FIRST_DASHBOARDS, NEXT_DASHBOARDS};
use crate::rows::Dashboards;

type Result<T> = std::result::Result<T, StateError>;

pub(super) const SELECT: &str = "SELECT dashboards";
pub(super) const UPDATE: &str = "UPDATE dashboards";

pub(super) fn read(connection: &Connection) -> rusqlite::Result<Option<Dashboards>> {
    connection
        .prepare_cached("SELECT version, document, updated_at FROM dashboards")?
        .query_row([], |row| {
            Ok(Dashboards {
                version: number(row, 0)?,
                document: row.get(1)?,
                updated_at: time_there(row, 2)?,
            })
        })
        .optional()
}

pub(super) fn save(
    connection: &Connection,
    version: u64,
    document: &str,
    at: Timestamp,
) -> Result<Option<u64>> {
    let (at, version) = (Millis(at), signed(version));
    let first: [&dyn ToSql; 2] = [&document, &at];
    let next: [&dyn ToSql; 3] = [&document, &at, &version];
    let (sql, values): (_, &[_]) = match version {
        0 => (FIRST_DASHBOARDS, &first),
        _ => (NEXT_DASHBOARDS, &next),
    };
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            let saved = statement.query_row(values, |row| number(row, 0));
            saved.optional()
        })
        .map_err(during(UPDATE))
}
