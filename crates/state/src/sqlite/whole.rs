//! A build with all its rows, as they stood after one commit.

use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::convert::Id;
use super::sessions::{notes, raw_state, session, todos, tool_calls};
use crate::store::{Page, SessionKey, WholeSession};

pub(super) fn whole_session(
    connection: &Connection,
    session_id: Uuid,
    page: Page,
) -> rusqlite::Result<Option<WholeSession>> {
    // One transaction, so that every row is of the same commit.
    let snapshot = connection.unchecked_transaction()?;
    let Some(row) = session(&snapshot, &SessionKey::Id(session_id))? else {
        return Ok(None);
    };
    let project_name = snapshot
        .prepare_cached("SELECT name FROM projects WHERE id = ?")?
        .query_row([Id(row.project_id)], |row| row.get(0))
        .optional()?;
    Ok(Some(WholeSession {
        project_name: project_name.unwrap_or_default(),
        todos: todos(&snapshot, session_id)?,
        tool_calls: tool_calls(&snapshot, session_id, 0, page)?,
        notes: notes(&snapshot, session_id, None, page)?,
        raw_state: raw_state(&snapshot, session_id)?,
        session: row,
    }))
}
