//! The console's dashboards in PostgreSQL.

use deadpool_postgres::Object;
use hopline_wire::Timestamp;
use tokio_postgres::types::ToSql;

use super::convert::{Columns, Millis, signed};
use super::query::row;
use crate::error::StateError;
use crate::reading::{FIRST_DASHBOARDS, NEXT_DASHBOARDS};
use crate::rows::Dashboards;

type Result<T> = std::result::Result<T, StateError>;

pub(super) const SELECT: &str = "SELECT dashboards";
pub(super) const UPDATE: &str = "UPDATE dashboards";

pub(super) async fn read(client: &Object) -> Result<Option<Dashboards>> {
    let sql = "SELECT version, document, updated_at FROM dashboards";
    let found = row(client, SELECT, sql, &[]).await?;
    let dashboards = |row| {
        let mut columns = Columns::of(&row, SELECT);
        Ok(Dashboards {
            version: columns.number()?,
            document: columns.take()?,
            updated_at: columns.time()?,
        })
    };
    found.map(dashboards).transpose()
}

pub(super) async fn save(
    client: &Object,
    version: u64,
    document: &str,
    at: Timestamp,
) -> Result<Option<u64>> {
    let (at, version) = (Millis(at), signed(version));
    let first: [&(dyn ToSql + Sync); 2] = [&document, &at];
    let next: [&(dyn ToSql + Sync); 3] = [&document, &at, &version];
    let (sql, values): (_, &[_]) = match version {
        0 => (FIRST_DASHBOARDS, &first),
        _ => (NEXT_DASHBOARDS, &next),
    };
    let saved = row(client, UPDATE, sql, values).await?;
    saved
        .map(|row| Columns::of(&row, UPDATE).number())
        .transpose()
}
