//! A build's rows put right, in one transaction.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::convert::{Id, Millis, during, signed};
use crate::error::StateError;
use crate::group::RawState;
use crate::repair::{CommandRepair, Repair, SessionRepair};
use crate::row_id;

type Result<T> = std::result::Result<T, StateError>;

/// Writes a repair, unless the build's log or the decisions about it have gone on. Says whether it was written.
pub(super) fn repair(connection: &mut Connection, repair: &Repair) -> Result<bool> {
    let operation = "repair a build";
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(during("BEGIN"))?;
    if !holds(&transaction, repair).map_err(during(operation))? {
        return Ok(false);
    }
    remove(&transaction, repair).map_err(during("DELETE a build's rows"))?;
    put_todos(&transaction, repair).map_err(during("INSERT generation_todos"))?;
    put_tool_calls(&transaction, repair).map_err(during("INSERT generation_tool_calls"))?;
    put_notes(&transaction, repair).map_err(during("INSERT generation_notes"))?;
    if let Some(session) = &repair.session {
        put_session(&transaction, repair, session).map_err(during("UPDATE generation_sessions"))?;
    }
    if let Some(command) = &repair.command {
        put_command(&transaction, repair, command).map_err(during("UPDATE commands"))?;
    }
    transaction.commit().map_err(during("COMMIT"))?;
    Ok(true)
}

/// Whether the rows still follow from what the repair was made from.
fn holds(connection: &Connection, repair: &Repair) -> rusqlite::Result<bool> {
    let there = connection.query_row(
        "SELECT COALESCE((SELECT max(seq) FROM runner_events WHERE command_id = ?1), 0),
             (SELECT count(*) FROM session_decisions WHERE session_id = ?2),
             (SELECT count(*) FROM generation_sessions WHERE id = ?2)",
        params![repair.command_id, Id(repair.session_id)],
        |row| Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)),
    )?;
    let decisions = i64::try_from(repair.decisions).unwrap_or(i64::MAX);
    Ok(there == (signed(repair.log_end), decisions, 1))
}

fn remove(transaction: &Transaction<'_>, repair: &Repair) -> rusqlite::Result<()> {
    let session = Id(repair.session_id);
    let mut todo = transaction
        .prepare("DELETE FROM generation_todos WHERE session_id = ? AND todo_index = ?")?;
    for index in &repair.no_todos {
        todo.execute(params![session, index])?;
    }
    let mut call = transaction
        .prepare("DELETE FROM generation_tool_calls WHERE session_id = ? AND tool_call_id = ?")?;
    for id in &repair.no_tool_calls {
        call.execute(params![session, id])?;
    }
    let mut note = transaction.prepare(
        "DELETE FROM generation_notes WHERE session_id = ? AND kind = ? AND text_id = ? AND part = ?",
    )?;
    for (kind, text_id, part) in &repair.no_notes {
        note.execute(params![session, kind.as_str(), text_id, part])?;
    }
    Ok(())
}

fn put_todos(transaction: &Transaction<'_>, repair: &Repair) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare(
        "INSERT INTO generation_todos
             (id, session_id, todo_index, content, active_form, status, created_at, updated_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (session_id, todo_index) DO UPDATE SET
             id = excluded.id, content = excluded.content, active_form = excluded.active_form,
             status = excluded.status, created_at = excluded.created_at, updated_at = excluded.updated_at",
    )?;
    for row in &repair.todos {
        statement.execute(params![
            Id(row_id::of_todo(repair.session_id, row.index)),
            Id(repair.session_id),
            row.index,
            row.content,
            row.active_form,
            row.status.as_str(),
            Millis(row.created_at),
            Millis(row.updated_at),
        ])?;
    }
    Ok(())
}

fn put_tool_calls(transaction: &Transaction<'_>, repair: &Repair) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare(
        "INSERT INTO generation_tool_calls
             (id, session_id, todo_index, tool_call_id, name, input, output, state, first_seq,
              started_at, ended_at, created_at, updated_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (session_id, tool_call_id) DO UPDATE SET
             id = excluded.id, todo_index = excluded.todo_index, name = excluded.name, input = excluded.input,
             output = excluded.output, state = excluded.state, first_seq = excluded.first_seq,
             started_at = excluded.started_at, ended_at = excluded.ended_at,
             created_at = excluded.created_at, updated_at = excluded.updated_at",
    )?;
    for row in &repair.tool_calls {
        let id = row_id::of_tool_call(repair.session_id, &row.tool_call_id);
        statement.execute(params![
            Id(id),
            Id(repair.session_id),
            row.todo_index,
            row.tool_call_id,
            row.name,
            row.input,
            row.output,
            row.state.as_str(),
            signed(row.first_seq),
            row.started_at.map(Millis),
            row.ended_at.map(Millis),
            Millis(row.created_at),
            Millis(row.updated_at),
        ])?;
    }
    Ok(())
}

fn put_notes(transaction: &Transaction<'_>, repair: &Repair) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare(
        "INSERT INTO generation_notes
             (id, session_id, todo_index, text_id, kind, part, content, first_seq, created_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (session_id, kind, text_id, part) DO UPDATE SET
             id = excluded.id, todo_index = excluded.todo_index, content = excluded.content,
             first_seq = excluded.first_seq, created_at = excluded.created_at",
    )?;
    for row in &repair.notes {
        let id = row_id::of_note(repair.session_id, row.kind, &row.text_id, row.part);
        statement.execute(params![
            Id(id),
            Id(repair.session_id),
            row.todo_index,
            row.text_id,
            row.kind.as_str(),
            row.part,
            row.content,
            signed(row.first_seq),
            Millis(row.created_at),
        ])?;
    }
    Ok(())
}

fn put_session(
    transaction: &Transaction<'_>,
    repair: &Repair,
    session: &SessionRepair,
) -> rusqlite::Result<()> {
    let row = &session.row;
    let (changes, raw_state) = match &row.raw_state {
        RawState::Keep => (false, None),
        RawState::Set(state) => (true, Some(state)),
        RawState::Due => (true, None),
    };
    transaction.execute(
        "UPDATE generation_sessions SET
             status = ?, final = ?, incomplete = ?, error_message = ?, exit_code = ?, last_seq = ?, fold = ?,
             ended_at = ?, summary = ?, raw_state = CASE WHEN ? THEN ? ELSE raw_state END, updated_at = ?
         WHERE id = ?",
        params![
            row.status.as_str(),
            row.is_final,
            row.incomplete,
            row.error_message,
            row.exit_code,
            signed(session.last_seq),
            row.fold,
            row.ended_at.map(Millis),
            row.summary,
            changes,
            raw_state,
            Millis(row.updated_at),
            Id(repair.session_id),
        ],
    )?;
    Ok(())
}

fn put_command(
    transaction: &Transaction<'_>,
    repair: &Repair,
    command: &CommandRepair,
) -> rusqlite::Result<()> {
    transaction.execute(
        "UPDATE commands SET
             last_seq = ?1, status = COALESCE(?2, status),
             ended_at = CASE WHEN ?2 IS NULL THEN ended_at ELSE ?3 END
         WHERE id = ?4",
        params![
            signed(command.last_seq),
            command.status.map(|(status, _)| status.as_str()),
            command
                .status
                .and_then(|(_, ended_at)| ended_at.map(Millis)),
            repair.command_id,
        ],
    )?;
    Ok(())
}
