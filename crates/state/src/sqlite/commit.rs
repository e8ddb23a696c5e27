//! The group commit: every statement kind once across all batches, in one transaction.
//!
//! Each statement finds its row by key, so its cost depends on what it writes and (as the logarithm) on the
//! tables' size, never on how long a build has been running.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::convert::{Id, Millis, Trace, during, number, signed};
use crate::error::StateError;
use crate::group::{
    BatchOutcome, CommandBatch, Committed, Group, Progress, ProjectChange, RawState, SessionBatch,
};
use crate::row_id;
use crate::rows::{CommandStatus, UNKNOWN_COMMAND};

type Result<T> = std::result::Result<T, StateError>;

/// Commits the group.
pub(super) fn commit(connection: &mut Connection, group: &Group) -> Result<Committed> {
    let progress = &group.progress;
    progress.begin("BEGIN", "");
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(during("BEGIN"))?;
    progress.end(0);
    let mut run = Run {
        connection: &transaction,
        progress,
    };
    let outcomes = positions(&mut run, &group.batches)?;
    let applied: Vec<&CommandBatch> = (group.batches.iter().zip(&outcomes))
        .filter(|(_, outcome)| **outcome == BatchOutcome::Applied)
        .map(|(batch, _)| batch)
        .collect();
    let sessions = || applied.iter().filter_map(|batch| batch.session.as_ref());
    insert_unknown_commands(&mut run, &applied)?;
    insert_events(&mut run, &applied)?;
    delete_todos(&mut run, sessions())?;
    insert_todos(&mut run, sessions())?;
    insert_tool_calls(&mut run, sessions())?;
    insert_notes(&mut run, sessions())?;
    insert_decisions(&mut run, sessions())?;
    update_sessions(&mut run, &applied)?;
    update_commands(&mut run, &applied)?;
    let projects = applied.iter().filter_map(|batch| batch.project.as_ref());
    update_projects(&mut run, projects)?;
    progress.begin("COMMIT", "");
    transaction.commit().map_err(during("COMMIT"))?;
    progress.end(0);
    Ok(Committed {
        outcomes,
        statements: progress.statements().ran,
    })
}

/// The statements of one transaction, and how long each kind took.
pub(super) struct Run<'c> {
    pub(super) connection: &'c Connection,
    pub(super) progress: &'c Progress,
}

impl Run<'_> {
    /// Runs `statement` for each item. A kind without items is not run and not told.
    pub(super) fn each<T>(
        &mut self,
        [operation, table, both]: [&'static str; 3],
        sql: &str,
        items: impl Iterator<Item = T>,
        mut statement: impl FnMut(&mut rusqlite::CachedStatement<'_>, T) -> rusqlite::Result<()>,
    ) -> Result<()> {
        let mut items = items.peekable();
        if items.peek().is_none() {
            return Ok(());
        }
        self.progress.begin(operation, table);
        let mut prepared = self.connection.prepare_cached(sql).map_err(during(both))?;
        let mut rows = 0;
        for item in items {
            statement(&mut prepared, item).map_err(during(both))?;
            rows += 1;
        }
        self.progress.end(rows);
        Ok(())
    }
}

/// Compares where each batch was folded from with where its command is.
fn positions(run: &mut Run<'_>, batches: &[CommandBatch]) -> Result<Vec<BatchOutcome>> {
    let mut outcomes = Vec::with_capacity(batches.len());
    run.each(
        ["SELECT", "commands", "SELECT commands"],
        "SELECT last_seq, (SELECT count(*) FROM session_decisions WHERE session_id = ?)
         FROM commands WHERE id = ?",
        batches.iter(),
        |statement, batch| {
            let session = batch.session.as_ref();
            let values = params![
                session.map(|session| Id(session.session_id)),
                &*batch.command_id
            ];
            let there: Option<(u64, u64)> = statement
                .query_row(values, |row| Ok((number(row, 0)?, number(row, 1)?)))
                .optional()?;
            let is_new = batch.command.create.is_some();
            let (last_seq, decisions) = there.unwrap_or_default();
            let expected = session.map_or(0, |session| session.expected_decisions);
            let in_place = there.is_none() == is_new
                && (last_seq, decisions) == (batch.expected_last_seq, expected);
            outcomes.push(if in_place {
                BatchOutcome::Applied
            } else {
                BatchOutcome::Moved { last_seq }
            });
            Ok(())
        },
    )?;
    Ok(outcomes)
}

fn insert_unknown_commands(run: &mut Run<'_>, batches: &[&CommandBatch]) -> Result<()> {
    let new = |batch: &&CommandBatch| batch.command.create.is_some();
    run.each(
        ["INSERT", "commands", "INSERT commands"],
        "INSERT INTO commands (id, project_id, runner_id, type, status, trace_id, created_at)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        batches.iter().copied().filter(new),
        |statement, batch| {
            let Some(create) = &batch.command.create else {
                return Ok(());
            };
            statement.execute(params![
                &*batch.command_id,
                create.project_id.map(Id),
                create.runner_id,
                UNKNOWN_COMMAND,
                CommandStatus::Acked.as_str(),
                create.trace_id.map(Trace),
                Millis(create.created_at),
            ])?;
            Ok(())
        },
    )
}

fn insert_events(run: &mut Run<'_>, batches: &[&CommandBatch]) -> Result<()> {
    let rows = batches
        .iter()
        .flat_map(|batch| batch.log.rows.iter().map(move |row| (batch, row)));
    run.each(
        ["INSERT", "runner_events", "INSERT runner_events"],
        "INSERT INTO runner_events (command_id, seq, project_id, type, body, outcome, reason, received_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
        |statement, (batch, row)| {
            statement.execute(params![
                &*batch.command_id,
                signed(row.seq),
                row.project_id.as_deref(),
                &*row.kind,
                batch.log.body(row),
                row.outcome.as_str(),
                row.reason,
                Millis(row.received_at),
            ])?;
            Ok(())
        },
    )
}

fn delete_todos<'a>(
    run: &mut Run<'_>,
    sessions: impl Iterator<Item = &'a SessionBatch>,
) -> Result<()> {
    let shrunk = sessions.filter_map(|session| Some((session, session.todos_removed_from?)));
    run.each(
        ["DELETE", "generation_todos", "DELETE generation_todos"],
        "DELETE FROM generation_todos WHERE session_id = ? AND todo_index >= ?",
        shrunk,
        |statement, (session, from)| {
            statement.execute(params![Id(session.session_id), from])?;
            Ok(())
        },
    )
}

fn insert_todos<'a>(
    run: &mut Run<'_>,
    sessions: impl Iterator<Item = &'a SessionBatch>,
) -> Result<()> {
    let rows = sessions.flat_map(|session| session.todos.iter().map(move |row| (session, row)));
    run.each(
        ["INSERT", "generation_todos", "INSERT generation_todos"],
        "INSERT INTO generation_todos
             (id, session_id, todo_index, content, active_form, status, created_at, updated_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (session_id, todo_index) DO UPDATE SET
             content = excluded.content, active_form = excluded.active_form,
             status = excluded.status, updated_at = excluded.updated_at",
        rows,
        |statement, (session, row)| {
            statement.execute(params![
                Id(row_id::of_todo(session.session_id, row.index)),
                Id(session.session_id),
                row.index,
                row.content,
                row.active_form,
                row.status.as_str(),
                Millis(row.created_at),
                Millis(row.updated_at),
            ])?;
            Ok(())
        },
    )
}

/// A call is written when it is made and when it answers; either may come first. What one of the two does
/// not know it leaves as it is.
fn insert_tool_calls<'a>(
    run: &mut Run<'_>,
    sessions: impl Iterator<Item = &'a SessionBatch>,
) -> Result<()> {
    let rows =
        sessions.flat_map(|session| session.tool_calls.iter().map(move |row| (session, row)));
    run.each(
        ["INSERT", "generation_tool_calls", "INSERT generation_tool_calls"],
        "INSERT INTO generation_tool_calls
             (id, session_id, todo_index, tool_call_id, name, input, output, state, first_seq,
              started_at, ended_at, created_at, updated_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (session_id, tool_call_id) DO UPDATE SET
             todo_index = CASE WHEN excluded.input IS NULL THEN todo_index ELSE excluded.todo_index END,
             name = CASE WHEN excluded.input IS NULL THEN name ELSE excluded.name END,
             input = COALESCE(excluded.input, input),
             output = COALESCE(excluded.output, output),
             state = CASE WHEN excluded.state = 'input-available' THEN state ELSE excluded.state END,
             started_at = COALESCE(excluded.started_at, started_at),
             ended_at = COALESCE(excluded.ended_at, ended_at),
             updated_at = excluded.updated_at",
        rows,
        |statement, (session, row)| {
            statement.execute(params![
                Id(row_id::of_tool_call(session.session_id, &row.tool_call_id)),
                Id(session.session_id),
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
            Ok(())
        },
    )
}

fn insert_notes<'a>(
    run: &mut Run<'_>,
    sessions: impl Iterator<Item = &'a SessionBatch>,
) -> Result<()> {
    let rows = sessions.flat_map(|session| session.notes.iter().map(move |row| (session, row)));
    run.each(
        ["INSERT", "generation_notes", "INSERT generation_notes"],
        "INSERT INTO generation_notes
             (id, session_id, todo_index, text_id, kind, part, content, first_seq, created_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (session_id, kind, text_id, part) DO UPDATE SET
             content = content || excluded.content",
        rows,
        |statement, (session, row)| {
            let id = row_id::of_note(session.session_id, row.kind, &row.text_id, row.part);
            statement.execute(params![
                Id(id),
                Id(session.session_id),
                row.todo_index,
                &*row.text_id,
                row.kind.as_str(),
                row.part,
                row.content,
                signed(row.first_seq),
                Millis(row.created_at),
            ])?;
            Ok(())
        },
    )
}

fn insert_decisions<'a>(
    run: &mut Run<'_>,
    sessions: impl Iterator<Item = &'a SessionBatch>,
) -> Result<()> {
    let rows = sessions.flat_map(|session| session.decisions.iter().map(move |row| (session, row)));
    run.each(
        ["INSERT", "session_decisions", "INSERT session_decisions"],
        "INSERT INTO session_decisions (session_id, after_seq, kind, reason, at)
         VALUES (?, ?, ?, ?, ?)",
        rows,
        |statement, (session, row)| {
            statement.execute(params![
                Id(session.session_id),
                signed(row.after_seq),
                row.kind.as_str(),
                row.reason,
                Millis(row.at),
            ])?;
            Ok(())
        },
    )
}

fn update_sessions(run: &mut Run<'_>, batches: &[&CommandBatch]) -> Result<()> {
    let rows = batches
        .iter()
        .filter_map(|batch| Some((batch.last_seq, batch.session.as_ref()?)));
    run.each(
        [
            "UPDATE",
            "generation_sessions",
            "UPDATE generation_sessions",
        ],
        "UPDATE generation_sessions SET
             status = ?, final = ?, incomplete = ?, error_message = ?, exit_code = ?, last_seq = ?,
             fold = ?, ended_at = ?, summary = ?, raw_state = CASE WHEN ? THEN ? ELSE raw_state END,
             updated_at = ?
         WHERE id = ?",
        rows,
        |statement, (last_seq, session)| {
            let row = &session.row;
            let (changes, raw_state) = match &row.raw_state {
                RawState::Keep => (false, None),
                RawState::Set(state) => (true, Some(state)),
                RawState::Due => (true, None),
            };
            statement.execute(params![
                row.status.as_str(),
                row.is_final,
                row.incomplete,
                row.error_message,
                row.exit_code,
                signed(last_seq),
                row.fold,
                row.ended_at.map(Millis),
                row.summary,
                changes,
                raw_state,
                Millis(row.updated_at),
                Id(session.session_id),
            ])?;
            Ok(())
        },
    )
}

fn update_commands(run: &mut Run<'_>, batches: &[&CommandBatch]) -> Result<()> {
    run.each(
        ["UPDATE", "commands", "UPDATE commands"],
        "UPDATE commands SET
             last_seq = ?1, status = COALESCE(?2, status),
             ended_at = CASE WHEN ?2 IS NULL THEN ended_at ELSE ?3 END,
             link = COALESCE(?4, link), link_seq = COALESCE(?5, link_seq)
         WHERE id = ?6",
        batches.iter(),
        |statement, batch| {
            let change = &batch.command;
            let link = change.link.as_ref();
            statement.execute(params![
                signed(batch.last_seq),
                change.status.map(|(status, _)| status.as_str()),
                change.status.and_then(|(_, ended_at)| ended_at.map(Millis)),
                link.map(|(link, _)| &**link),
                link.map(|(_, link_seq)| signed(*link_seq)),
                &*batch.command_id,
            ])?;
            Ok(())
        },
    )
}

/// Changes rows of projects; also used by the API.
pub(super) fn update_projects<'a>(
    run: &mut Run<'_>,
    changes: impl Iterator<Item = &'a ProjectChange>,
) -> Result<()> {
    run.each(
        ["UPDATE", "projects", "UPDATE projects"],
        "UPDATE projects SET
             status = COALESCE(?, status),
             error_message = CASE WHEN ? THEN ? ELSE error_message END,
             project_type = COALESCE(?, project_type), path = COALESCE(?, path),
             run_command = COALESCE(?, run_command), port = COALESCE(?, port),
             dev_server_port = CASE WHEN ? THEN ? ELSE dev_server_port END,
             dev_server_status = COALESCE(?, dev_server_status),
             last_activity_at = COALESCE(?, last_activity_at),
             updated_at = COALESCE(?, updated_at)
         WHERE id = ?",
        changes,
        |statement, change| {
            let error_message = change.error_message.as_ref();
            statement.execute(params![
                change.status.map(crate::rows::ProjectStatus::as_str),
                error_message.is_some(),
                error_message.and_then(Option::as_ref),
                change.project_type,
                change.path,
                change.run_command,
                change.port,
                change.dev_server_port.is_some(),
                change.dev_server_port.flatten(),
                change.dev_server_status,
                change.last_activity_at.map(Millis),
                change.last_activity_at.map(Millis),
                Id(change.project_id),
            ])?;
            Ok(())
        },
    )
}
