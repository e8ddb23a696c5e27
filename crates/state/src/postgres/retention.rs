//! Logs that are kept no longer. The room that they leave is used again by what comes, once the database has vacuumed.

use deadpool_postgres::Object;
use hopline_wire::Timestamp;
use tokio_postgres::types::ToSql;

use super::convert::{Columns, Millis, during};
use super::query::{can_be_there, change, row, rows};
use crate::error::StateError;
use crate::store::Page;

type Result<T> = std::result::Result<T, StateError>;

/// Of `command` and its `session`, whether it is over and was so before `$1`. All times are the server's own: an event's
/// receipt and a decision; a runner's clock may say anything.
const IS_OLD: &str =
    "command.created_at < $1 AND (session.id IS NULL OR session.status <> 'active')
     AND (SELECT received_at FROM runner_events AS event
          WHERE event.command_id = command.id ORDER BY seq DESC LIMIT 1) < $1
     AND NOT EXISTS (SELECT 1 FROM session_decisions AS decision
                     WHERE decision.session_id = session.id AND decision.at >= $1)";

/// What both statements look at.
const COMMANDS: &str = "SELECT command.id FROM commands AS command
     LEFT JOIN generation_sessions AS session ON session.command_id = command.id";

pub(super) async fn old_logs(
    client: &Object,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<String>> {
    let operation = "SELECT commands";
    let sql = format!("{COMMANDS} WHERE {IS_OLD} LIMIT $2");
    let found = rows(
        client,
        operation,
        &sql,
        &[&Millis(before), &i64::from(limit)],
    )
    .await?;
    let id = |row| Columns::of(row, operation).take();
    found.iter().map(id).collect()
}

pub(super) async fn remove_log(
    client: &mut Object,
    command_id: &str,
    before: Timestamp,
    page: Page,
) -> Result<usize> {
    let operation = "DELETE runner_events";
    if !can_be_there(command_id) {
        return Ok(0);
    }
    let transaction = client.transaction().await.map_err(during("BEGIN"))?;
    // Whoever commits events holds the command's row as this does: none comes between the question and the answer.
    let is_old =
        format!("{COMMANDS} WHERE {IS_OLD} AND command.id = $2 FOR NO KEY UPDATE OF command");
    let values: [&(dyn ToSql + Sync); 2] = [&Millis(before), &command_id];
    if row(&transaction, operation, &is_old, &values)
        .await?
        .is_none()
    {
        return Ok(0);
    }
    // The first event, and those behind it that the page has room for.
    let last = "SELECT max(seq) FROM (
                    SELECT seq, row_number() OVER of_log AS row, sum(bytes) OVER of_log AS bytes
                    FROM (SELECT seq, COALESCE(octet_length(body::text), 0) AS bytes FROM runner_events
                          WHERE command_id = $1 ORDER BY seq LIMIT $2) AS event
                    WINDOW of_log AS (ORDER BY seq)) AS page
                WHERE row = 1 OR bytes <= $3";
    let bytes = i64::try_from(page.bytes).unwrap_or(i64::MAX);
    let values: [&(dyn ToSql + Sync); 3] = [&command_id, &i64::from(page.rows), &bytes];
    let found = row(&transaction, operation, last, &values).await?;
    let last: Option<i64> = match &found {
        Some(found) => Columns::of(found, operation).take()?,
        None => None,
    };
    let Some(last) = last else {
        return Ok(0);
    };
    let delete = "DELETE FROM runner_events WHERE command_id = $1 AND seq <= $2";
    let values: [&(dyn ToSql + Sync); 2] = [&command_id, &last];
    let removed = change(&transaction, operation, delete, &values).await?;
    transaction.commit().await.map_err(during("COMMIT"))?;
    Ok(usize::try_from(removed).unwrap_or(usize::MAX))
}
