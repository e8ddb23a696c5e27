//! A build's rows put right, in one transaction.

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::types::ToSql;

use super::convert::{Columns, Millis, during, signed, text};
use super::query::{change, row};
use crate::error::StateError;
use crate::group::RawState;
use crate::repair::{CommandRepair, Repair, SessionRepair};
use crate::row_id;

type Result<T> = std::result::Result<T, StateError>;

/// Writes a repair, unless the build's log or the decisions about it have gone on. Says whether it was written.
pub(super) async fn repair(client: &mut Object, repair: &Repair) -> Result<bool> {
    let transaction = client.transaction().await.map_err(during("BEGIN"))?;
    if !holds(&transaction, repair).await? {
        return Ok(false);
    }
    remove(&transaction, repair).await?;
    put_todos(&transaction, repair).await?;
    put_tool_calls(&transaction, repair).await?;
    put_notes(&transaction, repair).await?;
    if let Some(session) = &repair.session {
        put_session(&transaction, repair, session).await?;
    }
    if let Some(command) = &repair.command {
        put_command(&transaction, repair, command).await?;
    }
    transaction.commit().await.map_err(during("COMMIT"))?;
    Ok(true)
}

/// Whether the rows still follow from what the repair was made from. Whoever commits events or decisions holds the
/// command's row as this does, so it stays true until the transaction's end.
async fn holds(transaction: &Transaction<'_>, repair: &Repair) -> Result<bool> {
    let operation = "SELECT commands";
    let lock = "SELECT 1 FROM commands WHERE id = $1 FOR NO KEY UPDATE";
    row(transaction, operation, lock, &[&repair.command_id]).await?;
    // A statement of its own, after the lock, so that it sees what whoever held it has committed.
    let sql = "SELECT COALESCE((SELECT max(seq) FROM runner_events WHERE command_id = $1), 0),
                   (SELECT count(*) FROM session_decisions WHERE session_id = $2),
                   (SELECT count(*) FROM generation_sessions WHERE id = $2)";
    let values: [&(dyn ToSql + Sync); 2] = [&repair.command_id, &repair.session_id];
    let Some(there) = row(transaction, operation, sql, &values).await? else {
        return Ok(false);
    };
    let mut columns = Columns::of(&there, operation);
    let there = (columns.number()?, columns.number()?, columns.number()?);
    Ok(there == (repair.log_end, repair.decisions as u64, 1))
}

async fn remove(transaction: &Transaction<'_>, repair: &Repair) -> Result<()> {
    let session = &repair.session_id;
    let todos = "DELETE FROM generation_todos WHERE session_id = $1 AND todo_index = ANY ($2)";
    let values: [&(dyn ToSql + Sync); 2] = [session, &repair.no_todos];
    change(transaction, "DELETE generation_todos", todos, &values).await?;
    let calls =
        "DELETE FROM generation_tool_calls WHERE session_id = $1 AND tool_call_id = ANY ($2)";
    let values: [&(dyn ToSql + Sync); 2] = [session, &repair.no_tool_calls];
    change(transaction, "DELETE generation_tool_calls", calls, &values).await?;
    let note = "DELETE FROM generation_notes WHERE session_id = $1 AND kind = $2 AND text_id = $3 AND part = $4";
    for (kind, text_id, part) in &repair.no_notes {
        let part = place(*part);
        let values: [&(dyn ToSql + Sync); 4] = [session, &kind.as_str(), text_id, &part];
        change(transaction, "DELETE generation_notes", note, &values).await?;
    }
    Ok(())
}

async fn put_todos(transaction: &Transaction<'_>, repair: &Repair) -> Result<()> {
    let sql = "INSERT INTO generation_todos
                   (id, session_id, todo_index, content, active_form, status, created_at, updated_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
               ON CONFLICT (session_id, todo_index) DO UPDATE SET
                   id = excluded.id, content = excluded.content, active_form = excluded.active_form,
                   status = excluded.status, created_at = excluded.created_at, updated_at = excluded.updated_at";
    for row in &repair.todos {
        let values: [&(dyn ToSql + Sync); 8] = [
            &row_id::of_todo(repair.session_id, row.index),
            &repair.session_id,
            &row.index,
            &row.content,
            &row.active_form,
            &row.status.as_str(),
            &Millis(row.created_at),
            &Millis(row.updated_at),
        ];
        change(transaction, "INSERT generation_todos", sql, &values).await?;
    }
    Ok(())
}

async fn put_tool_calls(transaction: &Transaction<'_>, repair: &Repair) -> Result<()> {
    let sql = "INSERT INTO generation_tool_calls
                   (id, session_id, todo_index, tool_call_id, name, input, output, state, first_seq,
                    started_at, ended_at, created_at, updated_at)
               VALUES ($1, $2, $3, $4, $5, $6::text::json, $7::text::json, $8, $9, $10, $11, $12, $13)
               ON CONFLICT (session_id, tool_call_id) DO UPDATE SET
                   id = excluded.id, todo_index = excluded.todo_index, name = excluded.name, input = excluded.input,
                   output = excluded.output, state = excluded.state, first_seq = excluded.first_seq,
                   started_at = excluded.started_at, ended_at = excluded.ended_at,
                   created_at = excluded.created_at, updated_at = excluded.updated_at";
    for row in &repair.tool_calls {
        let values: [&(dyn ToSql + Sync); 13] = [
            &row_id::of_tool_call(repair.session_id, &row.tool_call_id),
            &repair.session_id,
            &row.todo_index,
            &row.tool_call_id,
            &row.name,
            &row.input,
            &row.output,
            &row.state.as_str(),
            &signed(row.first_seq),
            &row.started_at.map(Millis),
            &row.ended_at.map(Millis),
            &Millis(row.created_at),
            &Millis(row.updated_at),
        ];
        change(transaction, "INSERT generation_tool_calls", sql, &values).await?;
    }
    Ok(())
}

async fn put_notes(transaction: &Transaction<'_>, repair: &Repair) -> Result<()> {
    let sql = "INSERT INTO generation_notes
                   (id, session_id, todo_index, text_id, kind, part, content, first_seq, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
               ON CONFLICT (session_id, kind, text_id, part) DO UPDATE SET
                   id = excluded.id, todo_index = excluded.todo_index, content = excluded.content,
                   first_seq = excluded.first_seq, created_at = excluded.created_at";
    for row in &repair.notes {
        let values: [&(dyn ToSql + Sync); 9] = [
            &row_id::of_note(repair.session_id, row.kind, &row.text_id, row.part),
            &repair.session_id,
            &row.todo_index,
            &&*row.text_id,
            &row.kind.as_str(),
            &place(row.part),
            &row.content,
            &signed(row.first_seq),
            &Millis(row.created_at),
        ];
        change(transaction, "INSERT generation_notes", sql, &values).await?;
    }
    Ok(())
}

async fn put_session(
    transaction: &Transaction<'_>,
    repair: &Repair,
    session: &SessionRepair,
) -> Result<()> {
    let row = &session.row;
    let (changes, raw_state) = match &row.raw_state {
        RawState::Keep => (false, None),
        RawState::Set(state) => (true, Some(state)),
        RawState::Due => (true, None),
    };
    let sql = "UPDATE generation_sessions SET
                   status = $1, final = $2, incomplete = $3, error_message = $4, exit_code = $5, last_seq = $6,
                   fold = $7::text::json, ended_at = $8, summary = $9,
                   raw_state = CASE WHEN $10 THEN $11::text::json ELSE raw_state END, updated_at = $12
               WHERE id = $13";
    let values: [&(dyn ToSql + Sync); 13] = [
        &row.status.as_str(),
        &row.is_final,
        &row.incomplete,
        &row.error_message.as_deref().map(text),
        &row.exit_code,
        &signed(session.last_seq),
        &row.fold,
        &row.ended_at.map(Millis),
        &row.summary.as_deref().map(text),
        &changes,
        &raw_state,
        &Millis(row.updated_at),
        &repair.session_id,
    ];
    change(transaction, "UPDATE generation_sessions", sql, &values).await?;
    Ok(())
}

async fn put_command(
    transaction: &Transaction<'_>,
    repair: &Repair,
    command: &CommandRepair,
) -> Result<()> {
    let sql = "UPDATE commands SET
                   last_seq = $1, status = COALESCE($2::text, status),
                   ended_at = CASE WHEN $2 IS NULL THEN ended_at ELSE $3 END
               WHERE id = $4";
    let ended_at = command.status.and_then(|(_, ended_at)| ended_at);
    let values: [&(dyn ToSql + Sync); 4] = [
        &signed(command.last_seq),
        &command.status.map(|(status, _)| status.as_str()),
        &ended_at.map(Millis),
        &repair.command_id,
    ];
    change(transaction, "UPDATE commands", sql, &values).await?;
    Ok(())
}

/// A part's number as PostgreSQL holds it.
fn place(part: u32) -> i32 {
    i32::try_from(part).unwrap_or(i32::MAX)
}
