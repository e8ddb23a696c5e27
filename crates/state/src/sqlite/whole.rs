//! A build with its rows, as they stood after one commit, the newest first where there are too many.

use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::convert::Id;
use super::sessions::{NOTE, TOOL_CALL, note_of, session, todos, tool_call_of};
use crate::reading::Newest;
use crate::rows::ToolCall;
use crate::store::{SessionKey, WholeSession};

pub(super) fn whole_session(
    connection: &Connection,
    session_id: Uuid,
    bytes: usize,
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
    let newest = newest(&snapshot, session_id, bytes)?;
    Ok(Some(WholeSession {
        project_name: project_name.unwrap_or_default(),
        todos: todos(&snapshot, session_id)?,
        tool_calls: newest.tool_calls,
        notes: newest.notes,
        cut_at: newest.cut_at,
        session: row,
    }))
}

/// The newest tool calls and parts of texts that have room, in the order they began.
fn newest(connection: &Connection, session_id: Uuid, bytes: usize) -> rusqlite::Result<Newest> {
    let mut calls = connection.prepare_cached(&format!("{TOOL_CALL} ORDER BY first_seq DESC"))?;
    let mut calls = calls.query_map([Id(session_id)], tool_call_of)?;
    let mut notes =
        connection.prepare_cached(&format!("{NOTE} ORDER BY first_seq DESC, part DESC"))?;
    let mut notes = notes.query_map([Id(session_id)], note_of)?;
    let mut newest = Newest::new(bytes);
    let mut next_call = calls.next().transpose()?;
    let mut next_note = notes.next().transpose()?;
    loop {
        let has_turn = |call: &mut ToolCall| Newest::comes_first(call, next_note.as_ref());
        if let Some(call) = next_call.take_if(has_turn) {
            if !newest.take_call(call) {
                break;
            }
            next_call = calls.next().transpose()?;
        } else if let Some(note) = next_note.take() {
            if !newest.take_note(note) {
                break;
            }
            next_note = notes.next().transpose()?;
        } else {
            break;
        }
    }
    Ok(newest.in_order())
}
