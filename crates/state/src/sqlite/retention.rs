//! Logs that are kept no longer. The pages that they leave are used again by what comes; the file does not shrink.

use hopline_wire::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};

use super::convert::{Millis, during, number, signed};
use crate::error::StateError;
use crate::store::Page;

type Result<T> = std::result::Result<T, StateError>;

/// Of `command` and its `session`, whether it is over and was so before `?1`. All times are the server's own: an event's
/// receipt and a decision; a runner's clock may say anything.
const IS_OLD: &str =
    "command.created_at < ?1 AND (session.id IS NULL OR session.status <> 'active')
     AND (SELECT received_at FROM runner_events AS event
          WHERE event.command_id = command.id ORDER BY seq DESC LIMIT 1) < ?1
     AND NOT EXISTS (SELECT 1 FROM session_decisions AS decision
                     WHERE decision.session_id = session.id AND decision.at >= ?1)";

/// What both statements look at.
const COMMANDS: &str = "SELECT command.id FROM commands AS command
     LEFT JOIN generation_sessions AS session ON session.command_id = command.id";

pub(super) fn old_logs(
    connection: &Connection,
    before: Timestamp,
    limit: u32,
) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached(&format!("{COMMANDS} WHERE {IS_OLD} LIMIT ?2"))?
        .query_map(params![Millis(before), limit], |row| row.get(0))?
        .collect()
}

pub(super) fn remove_log(
    connection: &mut Connection,
    command_id: &str,
    before: Timestamp,
    page: Page,
) -> Result<usize> {
    let operation = "DELETE runner_events";
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(during("BEGIN"))?;
    let remove = || -> rusqlite::Result<usize> {
        let is_old = transaction
            .prepare_cached(&format!("{COMMANDS} WHERE {IS_OLD} AND command.id = ?2"))?
            .exists(params![Millis(before), command_id])?;
        let last = if is_old {
            last_of_page(&transaction, command_id, page)?
        } else {
            None
        };
        let Some(last) = last else {
            return Ok(0);
        };
        transaction
            .prepare_cached("DELETE FROM runner_events WHERE command_id = ? AND seq <= ?")?
            .execute(params![command_id, signed(last)])
    };
    let removed = remove().map_err(during(operation))?;
    transaction.commit().map_err(during("COMMIT"))?;
    Ok(removed)
}

/// The last event of a log's first page; none if the log is empty.
fn last_of_page(
    connection: &Connection,
    command_id: &str,
    page: Page,
) -> rusqlite::Result<Option<u64>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, COALESCE(octet_length(body), 0) FROM runner_events
         WHERE command_id = ? ORDER BY seq LIMIT ?",
    )?;
    let mut rows = statement.query(params![command_id, page.rows])?;
    let (mut last, mut bytes) = (None, 0);
    while let Some(row) = rows.next()? {
        bytes += row.get::<_, u32>(1)? as usize;
        if last.is_some() && bytes > page.bytes {
            break;
        }
        last = Some(number(row, 0)?);
    }
    Ok(last)
}
