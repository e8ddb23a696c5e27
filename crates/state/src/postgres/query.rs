//! Single statements, prepared once for each connection.

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::convert::during;
use crate::error::StateError;

type Result<T> = std::result::Result<T, StateError>;
type Values<'v> = &'v [&'v (dyn ToSql + Sync)];

/// The rows that the statement gives.
pub(super) async fn rows(
    client: &impl GenericClient,
    operation: &'static str,
    sql: &str,
    values: Values<'_>,
) -> Result<Vec<Row>> {
    let statement = client.prepare_cached(sql).await;
    let statement = statement.map_err(during(operation))?;
    let rows = client.query(&statement, values).await;
    rows.map_err(during(operation))
}

/// The row that the statement gives, if it gives any.
pub(super) async fn row(
    client: &impl GenericClient,
    operation: &'static str,
    sql: &str,
    values: Values<'_>,
) -> Result<Option<Row>> {
    let rows = rows(client, operation, sql, values).await?;
    Ok(rows.into_iter().next())
}

/// How many rows the statement changed.
pub(super) async fn change(
    client: &impl GenericClient,
    operation: &'static str,
    sql: &str,
    values: Values<'_>,
) -> Result<u64> {
    let statement = client.prepare_cached(sql).await;
    let statement = statement.map_err(during(operation))?;
    let changed = client.execute(&statement, values).await;
    changed.map_err(during(operation))
}

/// Whether a text could be in a row at all: PostgreSQL has no U+0000.
pub(super) fn can_be_there(text: &str) -> bool {
    !text.contains('\0')
}
