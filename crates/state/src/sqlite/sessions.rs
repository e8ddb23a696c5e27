//! Builds and what belongs to them in SQLite.

use hopline_wire::Timestamp;
use hopline_wire::part::TextKind;
use hopline_wire::text::storable;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use uuid::Uuid;

use super::convert::{Id, Millis, Trace, during, list, name, number, signed, time, time_there};
use super::projects::{COMMAND, command_of, insert_command};
use crate::error::{Conflict, StateError};
use crate::reading::{Contents, GLANCES, Running, Taken, text_kind, todo_status};
use crate::rows::{
    Command, Decision, DecisionKind, Glance, LoggedEvent, Note, Outcome, Session, SessionStatus,
    Todo, ToolCall, ToolState,
};
use crate::store::{LastPart, LoadedCommand, Page, QuietBuild, SessionFilter, SessionKey};

type Result<T> = std::result::Result<T, StateError>;

const SESSION: &str = "SELECT id, project_id, build_id, command_id, operation_type, agent_id, status,
    final, incomplete, error_message, exit_code, trace_id, last_seq, started_at, ended_at, summary, created_at,
    updated_at";

fn session_of(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get::<_, Id>(0)?.0,
        project_id: row.get::<_, Id>(1)?.0,
        build_id: row.get(2)?,
        command_id: row.get(3)?,
        operation_type: row.get(4)?,
        agent_id: row.get(5)?,
        status: name(row, 6, SessionStatus::named)?,
        is_final: row.get(7)?,
        incomplete: row.get(8)?,
        error_message: row.get(9)?,
        exit_code: row.get(10)?,
        trace_id: row.get::<_, Option<Trace>>(11)?.map(|id| id.0),
        last_seq: number(row, 12)?,
        started_at: time_there(row, 13)?,
        ended_at: time(row, 14)?,
        summary: row.get(15)?,
        created_at: time_there(row, 16)?,
        updated_at: time_there(row, 17)?,
    })
}

pub(super) fn create_build(
    connection: &mut Connection,
    command: &Command,
    session: &Session,
) -> Result<()> {
    let operation = "INSERT generation_sessions";
    // The write lock is held from here on, so that of two requests at once one sees the other's build.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(during(operation))?;
    refuse_running(&transaction, session.project_id, operation)?;
    insert_command(&transaction, command)?;
    insert_session(&transaction, session).map_err(during(operation))?;
    transaction
        .execute(
            "UPDATE projects SET status = 'in_progress', error_message = NULL, last_activity_at = ?,
                 updated_at = ? WHERE id = ?",
            params![
                Millis(session.created_at),
                Millis(session.created_at),
                Id(session.project_id)
            ],
        )
        .map_err(during("UPDATE projects"))?;
    transaction.commit().map_err(during("COMMIT"))
}

/// Refuses what must not be while the project has a running build.
pub(super) fn refuse_running(
    connection: &Connection,
    project_id: Uuid,
    operation: &'static str,
) -> Result<()> {
    let running = connection
        .query_row(
            "SELECT 1 FROM generation_sessions WHERE project_id = ? AND status = 'active' LIMIT 1",
            [Id(project_id)],
            |_| Ok(()),
        )
        .optional()
        .map_err(during(operation))?;
    let conflict = Conflict::BuildRunning;
    running.map_or(Ok(()), |()| {
        Err(StateError::Conflict {
            operation,
            conflict,
        })
    })
}

fn insert_session(connection: &Connection, session: &Session) -> rusqlite::Result<usize> {
    connection.execute(
        "INSERT INTO generation_sessions
             (id, project_id, build_id, command_id, operation_type, agent_id, status, final, incomplete,
              error_message, exit_code, trace_id, last_seq, started_at, ended_at, summary, created_at, updated_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            Id(session.id),
            Id(session.project_id),
            session.build_id,
            session.command_id,
            session.operation_type,
            session.agent_id,
            session.status.as_str(),
            session.is_final,
            session.incomplete,
            session.error_message,
            session.exit_code,
            session.trace_id.map(Trace),
            signed(session.last_seq),
            Millis(session.started_at),
            session.ended_at.map(Millis),
            session.summary,
            Millis(session.created_at),
            Millis(session.updated_at),
        ],
    )
}

pub(super) fn load_command(
    connection: &Connection,
    command_id: &str,
) -> rusqlite::Result<Option<LoadedCommand>> {
    // Both rows must be of the same commit.
    let snapshot = connection.unchecked_transaction()?;
    let command = snapshot
        .prepare_cached(&format!("{COMMAND} WHERE id = ?"))?
        .query_row([command_id], command_of)
        .optional()?;
    let Some(command) = command else {
        return Ok(None);
    };
    let session = snapshot
        .prepare_cached(&format!(
            "{SESSION}, fold, raw_state IS NULL,
                 (SELECT count(*) FROM session_decisions WHERE session_id = generation_sessions.id)
             FROM generation_sessions WHERE command_id = ?"
        ))?
        .query_row([command_id], |row| {
            let unwritten: bool = row.get(19)?;
            Ok((session_of(row)?, row.get(18)?, unwritten, number(row, 20)?))
        })
        .optional()?;
    let project_name = snapshot
        .prepare_cached("SELECT name FROM projects WHERE id = ?")?
        .query_row([command.project_id.map(Id)], |row| row.get(0))
        .optional()?;
    let raw_state_due = session.as_ref().is_some_and(|(session, _, unwritten, _)| {
        *unwritten && session.status != SessionStatus::Active
    });
    Ok(Some(LoadedCommand {
        command,
        project_name,
        decisions: session.as_ref().map_or(0, |(.., decisions)| *decisions),
        session: session.map(|(session, fold, ..)| (session, fold)),
        raw_state_due,
    }))
}

pub(super) fn last_note_part(
    connection: &Connection,
    session_id: Uuid,
    kind: TextKind,
    text_id: &str,
) -> rusqlite::Result<Option<LastPart>> {
    connection
        .prepare_cached(
            "SELECT part, octet_length(content) FROM generation_notes
             WHERE session_id = ? AND kind = ? AND text_id = ? ORDER BY part DESC LIMIT 1",
        )?
        .query_row(params![Id(session_id), kind.as_str(), text_id], |row| {
            Ok(LastPart {
                part: row.get(0)?,
                bytes: row.get::<_, u32>(1)? as usize,
            })
        })
        .optional()
}

pub(super) fn write_raw_state(
    connection: &Connection,
    session_id: Uuid,
    last_seq: u64,
    raw_state: &str,
) -> Result<bool> {
    let touched = connection
        .prepare_cached(
            "UPDATE generation_sessions SET raw_state = ?
             WHERE id = ? AND last_seq = ? AND status <> 'active'",
        )
        .and_then(|mut statement| {
            statement.execute(params![raw_state, Id(session_id), signed(last_seq)])
        })
        .map_err(during("UPDATE generation_sessions"))?;
    Ok(touched > 0)
}

pub(super) fn unwritten_builds(
    connection: &Connection,
    limit: u32,
) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached(
            "SELECT command_id FROM generation_sessions
             WHERE raw_state IS NULL AND status <> 'active' LIMIT ?",
        )?
        .query_map([limit], |row| row.get(0))?
        .collect()
}

pub(super) fn quiet_builds(
    connection: &Connection,
    quiet_since: Timestamp,
    runner_since: Timestamp,
) -> rusqlite::Result<Vec<QuietBuild>> {
    // Running builds are few; each costs one look at the end of its log.
    let running: Vec<Running> = connection
        .prepare_cached(
            "SELECT session.id, session.command_id, COALESCE(
                 (SELECT received_at FROM runner_events AS event
                  WHERE event.command_id = session.command_id ORDER BY seq DESC LIMIT 1),
                 session.created_at),
                 runner.id IS NULL OR runner.link = 'down' OR runner.last_seen_at < ?1,
                 COALESCE(runner.last_seen_at < ?1, FALSE), runner.payload
             FROM generation_sessions AS session
             JOIN commands AS command ON command.id = session.command_id
             LEFT JOIN runners AS runner ON runner.id = command.runner_id
             WHERE session.status = 'active'",
        )?
        .query_map([Millis(runner_since)], |row| {
            Ok(Running {
                session_id: row.get::<_, Id>(0)?.0,
                command_id: row.get(1)?,
                heard_at: time_there(row, 2)?,
                runner_is_gone: row.get(3)?,
                runner_is_away: row.get(4)?,
                payload: row.get(5)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let quiet = running.into_iter();
    let quiet = quiet.filter_map(|running| running.if_quiet(quiet_since, runner_since));
    Ok(quiet.collect())
}

pub(super) fn session(
    connection: &Connection,
    key: &SessionKey,
) -> rusqlite::Result<Option<Session>> {
    let (column, value) = match key {
        SessionKey::Id(id) => ("id", id.hyphenated().to_string()),
        SessionKey::Build(id) => ("build_id", id.clone()),
        SessionKey::Command(id) => ("command_id", id.clone()),
        SessionKey::Trace(id) => ("trace_id", id.to_string()),
    };
    connection
        .prepare_cached(&format!(
            "{SESSION} FROM generation_sessions WHERE {column} = ? ORDER BY created_at DESC LIMIT 1"
        ))?
        .query_row([value], session_of)
        .optional()
}

pub(super) fn raw_state(
    connection: &Connection,
    session_id: Uuid,
) -> rusqlite::Result<Option<String>> {
    let row = connection
        .prepare_cached("SELECT raw_state FROM generation_sessions WHERE id = ?")?
        .query_row([Id(session_id)], |row| row.get(0))
        .optional()?;
    Ok(row.flatten())
}

pub(super) fn sessions(
    connection: &Connection,
    filter: &SessionFilter,
) -> rusqlite::Result<Vec<Session>> {
    let (before_at, before_id) = filter.before.unzip();
    let mut sql = format!("{SESSION} FROM generation_sessions WHERE 1");
    // Only what is asked for goes into the statement, so that each combination finds its index.
    let mut values: Vec<Box<dyn rusqlite::ToSql>> = Vec::new();
    if let Some(status) = filter.status {
        sql.push_str(" AND status = ?");
        values.push(Box::new(status.as_str()));
    }
    if let Some(project) = filter.project_id {
        sql.push_str(" AND project_id = ?");
        values.push(Box::new(Id(project)));
    }
    if let (Some(at), Some(id)) = (before_at, before_id) {
        sql.push_str(" AND (created_at, id) < (?, ?)");
        values.push(Box::new(Millis(at)));
        values.push(Box::new(Id(id)));
    }
    sql.push_str(" ORDER BY created_at DESC, id DESC LIMIT ?");
    values.push(Box::new(filter.limit));
    connection
        .prepare_cached(&sql)?
        .query_map(rusqlite::params_from_iter(values), session_of)?
        .collect()
}

pub(super) fn glances(connection: &Connection, ids: &[Uuid]) -> rusqlite::Result<Vec<Glance>> {
    let ids = list(ids.iter().map(|id| id.hyphenated().to_string()));
    connection
        .prepare_cached(&format!("{GLANCES} IN (SELECT value FROM json_each(?))"))?
        .query_map([ids], |row| {
            Ok(Glance {
                session_id: row.get::<_, Id>(0)?.0,
                project_name: row.get(1)?,
                project_slug: row.get(2)?,
                runner_id: row.get(3)?,
                todos: row.get(4)?,
                todos_done: row.get(5)?,
                active_todo: row.get(6)?,
            })
        })?
        .collect()
}

pub(super) fn todos(connection: &Connection, session_id: Uuid) -> rusqlite::Result<Vec<Todo>> {
    connection
        .prepare_cached(
            "SELECT todo_index, content, active_form, status, created_at, updated_at
             FROM generation_todos WHERE session_id = ? ORDER BY todo_index",
        )?
        .query_map([Id(session_id)], |row| {
            Ok(Todo {
                index: row.get(0)?,
                content: row.get(1)?,
                active_form: row.get(2)?,
                status: name(row, 3, todo_status)?,
                created_at: time_there(row, 4)?,
                updated_at: time_there(row, 5)?,
            })
        })?
        .collect()
}

pub(super) const TOOL_CALL: &str =
    "SELECT tool_call_id, todo_index, name, input, output, state, first_seq, started_at, ended_at,
        created_at, updated_at FROM generation_tool_calls WHERE session_id = ?";

pub(super) fn tool_call_of(row: &Row<'_>) -> rusqlite::Result<ToolCall> {
    Ok(ToolCall {
        tool_call_id: row.get(0)?,
        todo_index: row.get(1)?,
        name: row.get(2)?,
        input: row.get(3)?,
        output: row.get(4)?,
        state: name(row, 5, ToolState::named)?,
        first_seq: number(row, 6)?,
        started_at: time(row, 7)?,
        ended_at: time(row, 8)?,
        created_at: time_there(row, 9)?,
        updated_at: time_there(row, 10)?,
    })
}

pub(super) fn tool_calls(
    connection: &Connection,
    session_id: Uuid,
    after: u64,
    page: Page,
) -> rusqlite::Result<Vec<ToolCall>> {
    let mut statement = connection.prepare_cached(&format!(
        "{TOOL_CALL} AND first_seq > ? ORDER BY first_seq LIMIT ?"
    ))?;
    let values = params![Id(session_id), signed(after), page.rows];
    let rows = statement.query_map(values, tool_call_of)?;
    within(page, rows)
}

pub(super) fn tool_call(
    connection: &Connection,
    session_id: Uuid,
    tool_call_id: &str,
) -> rusqlite::Result<Option<ToolCall>> {
    let mut statement = connection.prepare_cached(&format!("{TOOL_CALL} AND tool_call_id = ?"))?;
    // As parts are read: no id in a row has U+0000.
    let values = params![Id(session_id), storable(tool_call_id)];
    statement.query_row(values, tool_call_of).optional()
}

pub(super) const NOTE: &str =
    "SELECT kind, text_id, part, todo_index, content, first_seq, created_at
    FROM generation_notes WHERE session_id = ?";

pub(super) fn note_of(row: &Row<'_>) -> rusqlite::Result<Note> {
    Ok(Note {
        kind: name(row, 0, text_kind)?,
        text_id: row.get(1)?,
        part: row.get(2)?,
        todo_index: row.get(3)?,
        content: row.get(4)?,
        first_seq: number(row, 5)?,
        created_at: time_there(row, 6)?,
    })
}

pub(super) fn notes(
    connection: &Connection,
    session_id: Uuid,
    after: Option<(u64, u32)>,
    page: Page,
) -> rusqlite::Result<Vec<Note>> {
    let (seq, part) = after.map_or((0, -1), |(seq, part)| (signed(seq), i64::from(part)));
    let mut statement = connection.prepare_cached(&format!(
        "{NOTE} AND (first_seq, part) > (?, ?) ORDER BY first_seq, part LIMIT ?"
    ))?;
    let values = params![Id(session_id), seq, part, page.rows];
    let rows = statement.query_map(values, note_of)?;
    within(page, rows)
}

pub(super) fn events(
    connection: &Connection,
    command_id: &str,
    after: u64,
    page: Page,
) -> rusqlite::Result<Vec<LoggedEvent>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, type, body, outcome, reason, received_at FROM runner_events
         WHERE command_id = ? AND seq > ? ORDER BY seq LIMIT ?",
    )?;
    let rows = statement.query_map(params![command_id, signed(after), page.rows], |row| {
        Ok(LoggedEvent {
            seq: number(row, 0)?,
            kind: row.get(1)?,
            body: row.get(2)?,
            outcome: name(row, 3, Outcome::named)?,
            reason: row.get(4)?,
            received_at: time_there(row, 5)?,
        })
    })?;
    within(page, rows)
}

pub(super) fn decisions(
    connection: &Connection,
    session_id: Uuid,
) -> rusqlite::Result<Vec<Decision>> {
    connection
        .prepare_cached(
            "SELECT after_seq, kind, reason, at FROM session_decisions
             WHERE session_id = ? ORDER BY after_seq, rowid",
        )?
        .query_map([Id(session_id)], |row| {
            Ok(Decision {
                after_seq: number(row, 0)?,
                kind: name(row, 1, DecisionKind::named)?,
                reason: row.get(2)?,
                at: time_there(row, 3)?,
            })
        })?
        .collect()
}

/// Takes rows until they have more bytes than the page allows; the first one in any case.
fn within<T: Contents>(
    page: Page,
    rows: impl Iterator<Item = rusqlite::Result<T>>,
) -> rusqlite::Result<Vec<T>> {
    let mut taken = Taken::new(page);
    for row in rows {
        if !taken.take(row?) {
            break;
        }
    }
    Ok(taken.rows())
}
