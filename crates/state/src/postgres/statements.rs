//! The statements of a group commit. Each takes its rows as arrays, one for each column, so that a group of any size is
//! one statement for each table and one plan for all groups.

use std::borrow::Cow;
use std::collections::HashMap;

use hopline_wire::Timestamp;
use uuid::Uuid;

use super::convert::{Millis, signed, text};
use super::pipeline::{Step, Value};
use crate::group::{CommandBatch, ProjectChange, RawState, SessionBatch};
use crate::row_id;
use crate::rows::{CommandStatus, UNKNOWN_COMMAND};

/// A column of values, one for each item.
fn column<'i, 'v, I, T>(items: &'i [I], value: impl Fn(&'i I) -> T) -> Value<'v>
where
    T: 'v,
    Vec<T>: tokio_postgres::types::ToSql + Send + Sync,
{
    Box::new(items.iter().map(value).collect::<Vec<T>>())
}

fn step<'v>(
    [operation, table, both]: [&'static str; 3],
    sql: &'static str,
    rows: usize,
    values: Vec<Value<'v>>,
) -> Option<Step<'v>> {
    (rows > 0).then_some(Step {
        operation,
        table,
        both,
        sql,
        values,
        rows,
    })
}

fn millis(time: Option<Timestamp>) -> Option<Millis> {
    time.map(Millis)
}

/// Makes the rows of commands that the server never gave, unless somebody has; gives the ids of those it made.
pub(super) fn insert_unknown_commands(batches: &[CommandBatch]) -> Option<Step<'_>> {
    let mut rows: Vec<_> = batches
        .iter()
        .filter_map(|batch| Some((&*batch.command_id, batch.command.create.as_ref()?)))
        .collect();
    rows.sort_unstable_by_key(|(id, _)| *id);
    step(
        ["INSERT", "commands", "INSERT commands"],
        "INSERT INTO commands (id, project_id, runner_id, type, status, trace_id, created_at)
         SELECT id, project_id, runner_id, $5, $6, trace_id, created_at
         FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $7::timestamptz[])
             AS new (id, project_id, runner_id, trace_id, created_at)
         ON CONFLICT (id) DO NOTHING RETURNING id",
        rows.len(),
        vec![
            column(&rows, |(id, _)| *id),
            column(&rows, |(_, create)| create.project_id),
            column(&rows, |(_, create)| create.runner_id.as_deref().map(text)),
            column(&rows, |(_, create)| {
                create.trace_id.map(|id| id.to_string())
            }),
            Box::new(UNKNOWN_COMMAND),
            Box::new(CommandStatus::Acked.as_str()),
            column(&rows, |(_, create)| Millis(create.created_at)),
        ],
    )
}

/// Locks the commands' rows and tells where they are, and the number of the transaction.
pub(super) fn lock_commands(batches: &[CommandBatch]) -> Step<'_> {
    Step {
        operation: "SELECT",
        table: "commands",
        both: "SELECT commands",
        sql: "SELECT id, last_seq, pg_current_xact_id()::text FROM commands WHERE id = ANY ($1)
              ORDER BY id FOR NO KEY UPDATE",
        values: vec![column(batches, |batch| &*batch.command_id)],
        rows: batches.len(),
    }
}

/// How many decisions there are on each build. A statement of its own, after the locks, so that it sees what whoever held
/// them has committed.
pub(super) fn count_decisions(batches: &[CommandBatch]) -> Option<Step<'_>> {
    let sessions: Vec<&SessionBatch> = sessions(batches.iter());
    step(
        ["SELECT", "session_decisions", "SELECT session_decisions"],
        "SELECT session_id, count(*) FROM session_decisions WHERE session_id = ANY ($1) GROUP BY session_id",
        sessions.len(),
        vec![column(&sessions, |session| session.session_id)],
    )
}

/// Locks the rows of the projects that change, after those of the commands.
pub(super) fn lock_projects(batches: &[CommandBatch]) -> Option<Step<'_>> {
    let changes: Vec<&ProjectChange> = batches
        .iter()
        .filter_map(|batch| batch.project.as_ref())
        .collect();
    step(
        ["SELECT", "projects", "SELECT projects"],
        "SELECT id FROM projects WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE",
        changes.len(),
        vec![column(&changes, |change| change.project_id)],
    )
}

/// What the batches write, table by table.
pub(super) fn of<'b>(batches: &[&'b CommandBatch]) -> Vec<Step<'b>> {
    let sessions = sessions(batches.iter().copied());
    [
        insert_events(batches),
        delete_todos(&sessions),
        insert_todos(&sessions),
        insert_tool_calls(&sessions),
        insert_notes(&sessions),
        insert_decisions(&sessions),
        update_sessions(batches),
        update_commands(batches),
        update_projects(batches.iter().filter_map(|batch| batch.project.as_ref())),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn sessions<'b>(batches: impl Iterator<Item = &'b CommandBatch>) -> Vec<&'b SessionBatch> {
    batches.filter_map(|batch| batch.session.as_ref()).collect()
}

fn insert_events<'b>(batches: &[&'b CommandBatch]) -> Option<Step<'b>> {
    let rows: Vec<_> = batches
        .iter()
        .flat_map(|batch| batch.log.rows.iter().map(move |row| (*batch, row)))
        .collect();
    step(
        ["INSERT", "runner_events", "INSERT runner_events"],
        "INSERT INTO runner_events (command_id, seq, project_id, type, body, outcome, reason, received_at)
         SELECT command_id, seq, project_id, type, body::json, outcome, reason, received_at
         FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::timestamptz[])
             AS new (command_id, seq, project_id, type, body, outcome, reason, received_at)",
        rows.len(),
        vec![
            column(&rows, |(batch, _)| &*batch.command_id),
            column(&rows, |(_, row)| signed(row.seq)),
            column(&rows, |(_, row)| row.project_id.as_deref().map(text)),
            column(&rows, |(_, row)| text(&row.kind)),
            column(&rows, |(batch, row)| batch.log.body(row)),
            column(&rows, |(_, row)| row.outcome.as_str()),
            column(&rows, |(_, row)| row.reason.as_deref().map(text)),
            column(&rows, |(_, row)| Millis(row.received_at)),
        ],
    )
}

fn delete_todos<'b>(sessions: &[&'b SessionBatch]) -> Option<Step<'b>> {
    let shrunk: Vec<_> = sessions
        .iter()
        .filter_map(|session| Some((session.session_id, session.todos_removed_from?)))
        .collect();
    step(
        ["DELETE", "generation_todos", "DELETE generation_todos"],
        "DELETE FROM generation_todos AS todo
         USING unnest($1::uuid[], $2::integer[]) AS shrunk (session_id, from_index)
         WHERE todo.session_id = shrunk.session_id AND todo.todo_index >= shrunk.from_index",
        shrunk.len(),
        vec![column(&shrunk, |row| row.0), column(&shrunk, |row| row.1)],
    )
}

fn insert_todos<'b>(sessions: &[&'b SessionBatch]) -> Option<Step<'b>> {
    let rows: Vec<_> = sessions
        .iter()
        .flat_map(|session| session.todos.iter().map(|row| (session.session_id, row)))
        .collect();
    step(
        ["INSERT", "generation_todos", "INSERT generation_todos"],
        "INSERT INTO generation_todos
             (id, session_id, todo_index, content, active_form, status, created_at, updated_at)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::text[], $6::text[],
                              $7::timestamptz[], $8::timestamptz[])
         ON CONFLICT (session_id, todo_index) DO UPDATE SET
             content = excluded.content, active_form = excluded.active_form,
             status = excluded.status, updated_at = excluded.updated_at",
        rows.len(),
        vec![
            column(&rows, |(session, row)| row_id::of_todo(*session, row.index)),
            column(&rows, |(session, _)| *session),
            column(&rows, |(_, row)| row.index),
            column(&rows, |(_, row)| row.content.as_str()),
            column(&rows, |(_, row)| row.active_form.as_str()),
            column(&rows, |(_, row)| row.status.as_str()),
            column(&rows, |(_, row)| Millis(row.created_at)),
            column(&rows, |(_, row)| Millis(row.updated_at)),
        ],
    )
}

/// A call is written when it is made and when it answers; either may come first. What one of the two does not know it
/// leaves as it is.
fn insert_tool_calls<'b>(sessions: &[&'b SessionBatch]) -> Option<Step<'b>> {
    let rows: Vec<_> = sessions
        .iter()
        .flat_map(|session| {
            session
                .tool_calls
                .iter()
                .map(|row| (session.session_id, row))
        })
        .collect();
    let id = |session: Uuid, call: &str| row_id::of_tool_call(session, call);
    step(
        ["INSERT", "generation_tool_calls", "INSERT generation_tool_calls"],
        "INSERT INTO generation_tool_calls AS call
             (id, session_id, todo_index, tool_call_id, name, input, output, state, first_seq,
              started_at, ended_at, created_at, updated_at)
         SELECT id, session_id, todo_index, tool_call_id, name, input::json, output::json, state, first_seq,
                started_at, ended_at, created_at, updated_at
         FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::text[], $9::bigint[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[],
                     $13::timestamptz[])
             AS new (id, session_id, todo_index, tool_call_id, name, input, output, state, first_seq,
                     started_at, ended_at, created_at, updated_at)
         ON CONFLICT (session_id, tool_call_id) DO UPDATE SET
             todo_index = CASE WHEN excluded.input IS NULL THEN call.todo_index ELSE excluded.todo_index END,
             name = CASE WHEN excluded.input IS NULL THEN call.name ELSE excluded.name END,
             input = COALESCE(excluded.input, call.input),
             output = COALESCE(excluded.output, call.output),
             state = CASE WHEN excluded.state = 'input-available' THEN call.state ELSE excluded.state END,
             started_at = COALESCE(excluded.started_at, call.started_at),
             ended_at = COALESCE(excluded.ended_at, call.ended_at),
             updated_at = excluded.updated_at",
        rows.len(),
        vec![
            column(&rows, |(session, row)| id(*session, &row.tool_call_id)),
            column(&rows, |(session, _)| *session),
            column(&rows, |(_, row)| row.todo_index),
            column(&rows, |(_, row)| row.tool_call_id.as_str()),
            column(&rows, |(_, row)| row.name.as_str()),
            column(&rows, |(_, row)| row.input.as_deref()),
            column(&rows, |(_, row)| row.output.as_deref()),
            column(&rows, |(_, row)| row.state.as_str()),
            column(&rows, |(_, row)| signed(row.first_seq)),
            column(&rows, |(_, row)| millis(row.started_at)),
            column(&rows, |(_, row)| millis(row.ended_at)),
            column(&rows, |(_, row)| Millis(row.created_at)),
            column(&rows, |(_, row)| Millis(row.updated_at)),
        ],
    )
}

fn insert_notes<'b>(sessions: &[&'b SessionBatch]) -> Option<Step<'b>> {
    let rows: Vec<_> = sessions
        .iter()
        .flat_map(|session| session.notes.iter().map(|row| (session.session_id, row)))
        .collect();
    step(
        ["INSERT", "generation_notes", "INSERT generation_notes"],
        "INSERT INTO generation_notes AS note
             (id, session_id, todo_index, text_id, kind, part, content, first_seq, created_at)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::text[], $6::integer[],
                              $7::text[], $8::bigint[], $9::timestamptz[])
         ON CONFLICT (session_id, kind, text_id, part) DO UPDATE SET
             content = note.content || excluded.content",
        rows.len(),
        vec![
            column(&rows, |(session, row)| {
                row_id::of_note(*session, row.kind, &row.text_id, row.part)
            }),
            column(&rows, |(session, _)| *session),
            column(&rows, |(_, row)| row.todo_index),
            column(&rows, |(_, row)| &*row.text_id),
            column(&rows, |(_, row)| row.kind.as_str()),
            column(&rows, |(_, row)| i32::try_from(row.part).unwrap_or(i32::MAX)),
            column(&rows, |(_, row)| row.content.as_str()),
            column(&rows, |(_, row)| signed(row.first_seq)),
            column(&rows, |(_, row)| Millis(row.created_at)),
        ],
    )
}

fn insert_decisions<'b>(sessions: &[&'b SessionBatch]) -> Option<Step<'b>> {
    let rows: Vec<_> = sessions
        .iter()
        .flat_map(|session| {
            session
                .decisions
                .iter()
                .map(|row| (session.session_id, row))
        })
        .collect();
    step(
        ["INSERT", "session_decisions", "INSERT session_decisions"],
        "INSERT INTO session_decisions (session_id, after_seq, kind, reason, at)
         SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[])",
        rows.len(),
        vec![
            column(&rows, |(session, _)| *session),
            column(&rows, |(_, row)| signed(row.after_seq)),
            column(&rows, |(_, row)| row.kind.as_str()),
            column(&rows, |(_, row)| text(&row.reason)),
            column(&rows, |(_, row)| Millis(row.at)),
        ],
    )
}

fn update_sessions<'b>(batches: &[&'b CommandBatch]) -> Option<Step<'b>> {
    let rows: Vec<_> = batches
        .iter()
        .filter_map(|batch| Some((batch.last_seq, batch.session.as_ref()?)))
        .map(|(last_seq, session)| (last_seq, session.session_id, &session.row))
        .collect();
    step(
        ["UPDATE", "generation_sessions", "UPDATE generation_sessions"],
        "UPDATE generation_sessions AS session SET
             status = new.status, final = new.final, incomplete = new.incomplete,
             error_message = new.error_message, exit_code = new.exit_code, last_seq = new.last_seq,
             fold = new.fold::json, ended_at = new.ended_at, summary = new.summary,
             raw_state = CASE WHEN new.changes THEN new.raw_state::json ELSE session.raw_state END,
             updated_at = new.updated_at
         FROM unnest($1::uuid[], $2::text[], $3::boolean[], $4::boolean[], $5::text[], $6::integer[],
                     $7::bigint[], $8::text[], $9::timestamptz[], $10::text[], $11::boolean[], $12::text[],
                     $13::timestamptz[])
             AS new (id, status, final, incomplete, error_message, exit_code, last_seq, fold, ended_at, summary,
                     changes, raw_state, updated_at)
         WHERE session.id = new.id",
        rows.len(),
        vec![
            column(&rows, |(_, id, _)| *id),
            column(&rows, |(.., row)| row.status.as_str()),
            column(&rows, |(.., row)| row.is_final),
            column(&rows, |(.., row)| row.incomplete),
            column(&rows, |(.., row)| row.error_message.as_deref().map(text)),
            column(&rows, |(.., row)| row.exit_code),
            column(&rows, |(last_seq, ..)| signed(*last_seq)),
            column(&rows, |(.., row)| row.fold.as_str()),
            column(&rows, |(.., row)| millis(row.ended_at)),
            column(&rows, |(.., row)| row.summary.as_deref().map(text)),
            column(&rows, |(.., row)| row.raw_state != RawState::Keep),
            column(&rows, |(.., row)| match &row.raw_state {
                RawState::Set(state) => Some(state.as_str()),
                RawState::Keep | RawState::Due => None,
            }),
            column(&rows, |(.., row)| Millis(row.updated_at)),
        ],
    )
}

fn update_commands<'b>(batches: &[&'b CommandBatch]) -> Option<Step<'b>> {
    step(
        ["UPDATE", "commands", "UPDATE commands"],
        "UPDATE commands AS command SET
             last_seq = new.last_seq, status = COALESCE(new.status, command.status),
             ended_at = CASE WHEN new.status IS NULL THEN command.ended_at ELSE new.ended_at END,
             link = COALESCE(new.link, command.link), link_seq = COALESCE(new.link_seq, command.link_seq)
         FROM unnest($1::text[], $2::bigint[], $3::text[], $4::timestamptz[], $5::text[], $6::bigint[])
             AS new (id, last_seq, status, ended_at, link, link_seq)
         WHERE command.id = new.id",
        batches.len(),
        vec![
            column(batches, |batch| &*batch.command_id),
            column(batches, |batch| signed(batch.last_seq)),
            column(batches, |batch| {
                batch.command.status.map(|(status, _)| status.as_str())
            }),
            column(batches, |batch| {
                millis(batch.command.status.and_then(|(_, ended_at)| ended_at))
            }),
            column(batches, |batch| -> Option<Cow<'b, str>> {
                batch.command.link.as_ref().map(|(link, _)| text(link))
            }),
            column(batches, |batch| {
                batch.command.link.as_ref().map(|(_, seq)| signed(*seq))
            }),
        ],
    )
}

/// Changes rows of projects; also used by the API. Several changes of one project are put on top of each other, since one
/// statement changes a row once.
pub(super) fn update_projects<'b>(
    changes: impl Iterator<Item = &'b ProjectChange>,
) -> Option<Step<'b>> {
    let mut rows: Vec<ProjectChange> = Vec::new();
    let mut places: HashMap<Uuid, usize> = HashMap::new();
    for change in changes {
        match places.get(&change.project_id) {
            Some(place) => rows[*place].merge(change.clone()),
            None => {
                places.insert(change.project_id, rows.len());
                rows.push(change.clone());
            }
        }
    }
    let owned = |value: &Option<String>| value.as_deref().map(|value| text(value).into_owned());
    step(
        ["UPDATE", "projects", "UPDATE projects"],
        "UPDATE projects AS project SET
             status = COALESCE(new.status, project.status),
             error_message = CASE WHEN new.changes_error THEN new.error_message ELSE project.error_message END,
             project_type = COALESCE(new.project_type, project.project_type),
             path = COALESCE(new.path, project.path),
             run_command = COALESCE(new.run_command, project.run_command),
             port = COALESCE(new.port, project.port),
             dev_server_port = CASE WHEN new.changes_port THEN new.dev_server_port ELSE project.dev_server_port END,
             dev_server_status = COALESCE(new.dev_server_status, project.dev_server_status),
             last_activity_at = COALESCE(new.last_activity_at, project.last_activity_at),
             updated_at = COALESCE(new.last_activity_at, project.updated_at)
         FROM unnest($1::uuid[], $2::text[], $3::boolean[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::integer[], $9::boolean[], $10::integer[], $11::text[], $12::timestamptz[])
             AS new (id, status, changes_error, error_message, project_type, path, run_command, port,
                     changes_port, dev_server_port, dev_server_status, last_activity_at)
         WHERE project.id = new.id",
        rows.len(),
        vec![
            column(&rows, |row| row.project_id),
            column(&rows, |row| row.status.map(crate::rows::ProjectStatus::as_str)),
            column(&rows, |row| row.error_message.is_some()),
            column(&rows, |row| row.error_message.as_ref().and_then(owned)),
            column(&rows, |row| owned(&row.project_type)),
            column(&rows, |row| owned(&row.path)),
            column(&rows, |row| owned(&row.run_command)),
            column(&rows, |row| row.port.map(i32::from)),
            column(&rows, |row| row.dev_server_port.is_some()),
            column(&rows, |row| row.dev_server_port.flatten().map(i32::from)),
            column(&rows, |row| owned(&row.dev_server_status)),
            column(&rows, |row| millis(row.last_activity_at)),
        ],
    )
}
