//! Builds and what belongs to them in PostgreSQL.

use std::pin::pin;

use deadpool_postgres::{GenericClient, Object};
use futures_util::TryStreamExt;
use hopline_wire::Timestamp;
use hopline_wire::part::TextKind;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::convert::{Columns, Millis, during, signed, text};
use super::projects::{COMMAND, command_of, insert_command, refuse_running};
use super::query::{can_be_there, change, row, rows};
use crate::error::StateError;
use crate::reading::{Contents, GLANCES, Running, Taken, text_kind, todo_status};
use crate::rows::{
    Command, Decision, DecisionKind, Glance, LoggedEvent, Note, Outcome, Session, SessionStatus,
    Todo, ToolCall, ToolState,
};
use crate::store::{LastPart, LoadedCommand, Page, QuietBuild, SessionFilter, SessionKey};

type Result<T> = std::result::Result<T, StateError>;

const READ_SESSIONS: &str = "SELECT generation_sessions";
/// The columns of a build, of a table called `session`.
const SESSION: &str = "session.id, session.project_id, session.build_id, session.command_id, session.operation_type,
    session.agent_id, session.status, session.final, session.incomplete, session.error_message, session.exit_code,
    session.trace_id, session.last_seq, session.started_at, session.ended_at, session.summary, session.created_at,
    session.updated_at";

fn session_of(columns: &mut Columns<'_>) -> Result<Session> {
    Ok(Session {
        id: columns.take()?,
        project_id: columns.take()?,
        build_id: columns.take()?,
        command_id: columns.take()?,
        operation_type: columns.take()?,
        agent_id: columns.take()?,
        status: columns.named(SessionStatus::named)?,
        is_final: columns.take()?,
        incomplete: columns.take()?,
        error_message: columns.take()?,
        exit_code: columns.take()?,
        trace_id: columns.trace()?,
        last_seq: columns.number()?,
        started_at: columns.time()?,
        ended_at: columns.time_if_any()?,
        summary: columns.take()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
    })
}

pub(super) async fn create_build(
    client: &mut Object,
    command: &Command,
    session: &Session,
) -> Result<()> {
    let operation = "INSERT generation_sessions";
    let transaction = client.transaction().await.map_err(during(operation))?;
    // Of two requests at once one waits here, and then sees the other's build.
    refuse_running(&transaction, session.project_id, operation).await?;
    insert_command(&transaction, command).await?;
    insert_session(&transaction, session).await?;
    let begun =
        "UPDATE projects SET status = 'in_progress', error_message = NULL, last_activity_at = $1,
                     updated_at = $1 WHERE id = $2";
    let values: [&(dyn ToSql + Sync); 2] = [&Millis(session.created_at), &session.project_id];
    change(&transaction, "UPDATE projects", begun, &values).await?;
    transaction.commit().await.map_err(during("COMMIT"))
}

async fn insert_session(client: &impl GenericClient, session: &Session) -> Result<()> {
    change(
        client,
        "INSERT generation_sessions",
        "INSERT INTO generation_sessions
             (id, project_id, build_id, command_id, operation_type, agent_id, status, final, incomplete,
              error_message, exit_code, trace_id, last_seq, started_at, ended_at, summary, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        &[
            &session.id,
            &session.project_id,
            &session.build_id,
            &session.command_id,
            &text(&session.operation_type),
            &text(&session.agent_id),
            &session.status.as_str(),
            &session.is_final,
            &session.incomplete,
            &session.error_message,
            &session.exit_code,
            &session.trace_id.map(|id| id.to_string()),
            &signed(session.last_seq),
            &Millis(session.started_at),
            &session.ended_at.map(Millis),
            &session.summary,
            &Millis(session.created_at),
            &Millis(session.updated_at),
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn load_command(
    client: &Object,
    command_id: &str,
) -> Result<Option<LoadedCommand>> {
    let operation = "SELECT commands";
    if !can_be_there(command_id) {
        return Ok(None);
    }
    // One statement, so that all of it is of the same commit.
    let sql = format!(
        "SELECT {COMMAND}, project.name, session.id IS NOT NULL, session.fold::text, session.raw_state IS NULL,
             (SELECT count(*) FROM session_decisions AS decision WHERE decision.session_id = session.id), {SESSION}
         FROM commands AS command
         LEFT JOIN projects AS project ON project.id = command.project_id
         LEFT JOIN generation_sessions AS session ON session.command_id = command.id
         WHERE command.id = $1"
    );
    let Some(row) = row(client, operation, &sql, &[&command_id]).await? else {
        return Ok(None);
    };
    let mut columns = Columns::of(&row, operation);
    let command = command_of(&mut columns)?;
    let project_name = columns.take()?;
    let has_session: bool = columns.take()?;
    let fold = columns.take()?;
    let unwritten: bool = columns.take()?;
    let decisions = columns.number()?;
    let session = match has_session {
        true => Some((session_of(&mut columns)?, fold)),
        false => None,
    };
    let has_ended = |session: &Session| session.status != SessionStatus::Active;
    Ok(Some(LoadedCommand {
        command,
        project_name,
        raw_state_due: unwritten
            && session
                .as_ref()
                .is_some_and(|(session, _)| has_ended(session)),
        session,
        decisions,
    }))
}

pub(super) async fn last_note_part(
    client: &Object,
    session_id: Uuid,
    kind: TextKind,
    text_id: &str,
) -> Result<Option<LastPart>> {
    let operation = "SELECT generation_notes";
    let row = row(
        client,
        operation,
        "SELECT part, octet_length(content) FROM generation_notes
         WHERE session_id = $1 AND kind = $2 AND text_id = $3 ORDER BY part DESC LIMIT 1",
        &[&session_id, &kind.as_str(), &text(text_id)],
    )
    .await?;
    let part = |row: &Row| {
        let mut columns = Columns::of(row, operation);
        Ok(LastPart {
            part: columns.small()?,
            bytes: columns.small()?,
        })
    };
    row.as_ref().map(part).transpose()
}

pub(super) async fn write_raw_state(
    client: &Object,
    session_id: Uuid,
    last_seq: u64,
    raw_state: &str,
) -> Result<bool> {
    let touched = change(
        client,
        "UPDATE generation_sessions",
        "UPDATE generation_sessions SET raw_state = $1::text::json
         WHERE id = $2 AND last_seq = $3 AND status <> 'active'",
        &[&raw_state, &session_id, &signed(last_seq)],
    )
    .await?;
    Ok(touched > 0)
}

pub(super) async fn unwritten_builds(client: &Object, limit: u32) -> Result<Vec<String>> {
    let sql = "SELECT command_id FROM generation_sessions
               WHERE raw_state IS NULL AND status <> 'active' LIMIT $1";
    let rows = rows(client, READ_SESSIONS, sql, &[&i64::from(limit)]).await?;
    let id = |row| Columns::of(row, READ_SESSIONS).take();
    rows.iter().map(id).collect()
}

pub(super) async fn quiet_builds(
    client: &Object,
    quiet_since: Timestamp,
    runner_since: Timestamp,
) -> Result<Vec<QuietBuild>> {
    // Running builds are few; each costs one look at the end of its log.
    let rows = rows(
        client,
        READ_SESSIONS,
        "SELECT session.id, session.command_id, COALESCE(
             (SELECT received_at FROM runner_events AS event
              WHERE event.command_id = session.command_id ORDER BY seq DESC LIMIT 1),
             session.created_at),
             runner.id IS NULL OR runner.link = 'down' OR runner.last_seen_at < $1,
             COALESCE(runner.last_seen_at < $1, FALSE), runner.payload::text
         FROM generation_sessions AS session
         JOIN commands AS command ON command.id = session.command_id
         LEFT JOIN runners AS runner ON runner.id = command.runner_id
         WHERE session.status = 'active'",
        &[&Millis(runner_since)],
    )
    .await?;
    let mut quiet = Vec::new();
    for row in &rows {
        let mut columns = Columns::of(row, READ_SESSIONS);
        let running = Running {
            session_id: columns.take()?,
            command_id: columns.take()?,
            heard_at: columns.time()?,
            runner_is_gone: columns.take()?,
            runner_is_away: columns.take()?,
            payload: columns.take()?,
        };
        quiet.extend(running.if_quiet(quiet_since, runner_since));
    }
    Ok(quiet)
}

pub(super) async fn session(
    client: &impl GenericClient,
    key: &SessionKey,
) -> Result<Option<Session>> {
    let trace;
    let (column, value): (_, &(dyn ToSql + Sync)) = match key {
        SessionKey::Id(id) => ("id", id),
        SessionKey::Build(id) | SessionKey::Command(id) if !can_be_there(id) => return Ok(None),
        SessionKey::Build(id) => ("build_id", id),
        SessionKey::Command(id) => ("command_id", id),
        SessionKey::Trace(id) => {
            trace = id.to_string();
            ("trace_id", &trace)
        }
    };
    let sql = format!(
        "SELECT {SESSION} FROM generation_sessions AS session WHERE {column} = $1
         ORDER BY created_at DESC LIMIT 1"
    );
    let row = row(client, READ_SESSIONS, &sql, &[value]).await?;
    let session = |row| session_of(&mut Columns::of(row, READ_SESSIONS));
    row.as_ref().map(session).transpose()
}

pub(super) async fn raw_state(client: &Object, session_id: Uuid) -> Result<Option<String>> {
    let sql = "SELECT raw_state::text FROM generation_sessions WHERE id = $1";
    match row(client, READ_SESSIONS, sql, &[&session_id]).await? {
        Some(row) => Columns::of(&row, READ_SESSIONS).take(),
        None => Ok(None),
    }
}

pub(super) async fn sessions(client: &Object, filter: &SessionFilter) -> Result<Vec<Session>> {
    let (before_at, before_id) = filter.before.unzip();
    let status = filter.status.map(SessionStatus::as_str);
    let (before_at, limit) = (before_at.map(Millis), i64::from(filter.limit));
    let mut sql = format!("SELECT {SESSION} FROM generation_sessions AS session WHERE true");
    // Only what is asked for goes into the statement, so that each combination finds its index.
    let mut values: Vec<&(dyn ToSql + Sync)> = Vec::new();
    if let Some(status) = &status {
        values.push(status);
        sql.push_str(&format!(" AND status = ${}", values.len()));
    }
    if let Some(project) = &filter.project_id {
        values.push(project);
        sql.push_str(&format!(" AND project_id = ${}", values.len()));
    }
    if let (Some(at), Some(id)) = (&before_at, &before_id) {
        values.extend([at as &(dyn ToSql + Sync), id]);
        let (at, id) = (values.len() - 1, values.len());
        sql.push_str(&format!(" AND (created_at, id) < (${at}, ${id})"));
    }
    values.push(&limit);
    sql.push_str(&format!(
        " ORDER BY created_at DESC, id DESC LIMIT ${}",
        values.len()
    ));
    let rows = rows(client, READ_SESSIONS, &sql, &values).await?;
    let session = |row| session_of(&mut Columns::of(row, READ_SESSIONS));
    rows.iter().map(session).collect()
}

pub(super) async fn glances(client: &Object, ids: &[Uuid]) -> Result<Vec<Glance>> {
    let sql = format!("{GLANCES} = ANY ($1)");
    let rows = rows(client, READ_SESSIONS, &sql, &[&ids]).await?;
    let count = |number: i64| u32::try_from(number).unwrap_or_default();
    let glance = |row| {
        let mut columns = Columns::of(row, READ_SESSIONS);
        Ok(Glance {
            session_id: columns.take()?,
            project_name: columns.take()?,
            project_slug: columns.take()?,
            runner_id: columns.take()?,
            todos: count(columns.take()?),
            todos_done: count(columns.take()?),
            active_todo: columns.take()?,
        })
    };
    rows.iter().map(glance).collect()
}

pub(super) async fn todos(client: &impl GenericClient, session_id: Uuid) -> Result<Vec<Todo>> {
    let operation = "SELECT generation_todos";
    let sql = "SELECT todo_index, content, active_form, status, created_at, updated_at
               FROM generation_todos WHERE session_id = $1 ORDER BY todo_index";
    let rows = rows(client, operation, sql, &[&session_id]).await?;
    let todo = |row| {
        let mut columns = Columns::of(row, operation);
        Ok(Todo {
            index: columns.take()?,
            content: columns.take()?,
            active_form: columns.take()?,
            status: columns.named(todo_status)?,
            created_at: columns.time()?,
            updated_at: columns.time()?,
        })
    };
    rows.iter().map(todo).collect()
}

pub(super) const READ_CALLS: &str = "SELECT generation_tool_calls";
pub(super) const TOOL_CALL: &str =
    "SELECT tool_call_id, todo_index, name, input::text, output::text, state, first_seq,
    started_at, ended_at, created_at, updated_at FROM generation_tool_calls WHERE session_id = $1";

pub(super) fn tool_call_of(row: &Row) -> Result<ToolCall> {
    let mut columns = Columns::of(row, READ_CALLS);
    Ok(ToolCall {
        tool_call_id: columns.take()?,
        todo_index: columns.take()?,
        name: columns.take()?,
        input: columns.take()?,
        output: columns.take()?,
        state: columns.named(ToolState::named)?,
        first_seq: columns.number()?,
        started_at: columns.time_if_any()?,
        ended_at: columns.time_if_any()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
    })
}

pub(super) async fn tool_calls(
    client: &Object,
    session_id: Uuid,
    after: u64,
    page: Page,
) -> Result<Vec<ToolCall>> {
    let sql = format!("{TOOL_CALL} AND first_seq > $2 ORDER BY first_seq LIMIT $3");
    let limit = i64::from(page.rows);
    let values: [&(dyn ToSql + Sync); 3] = [&session_id, &signed(after), &limit];
    within(client, READ_CALLS, &sql, &values, page, tool_call_of).await
}

pub(super) async fn tool_call(
    client: &Object,
    session_id: Uuid,
    tool_call_id: &str,
) -> Result<Option<ToolCall>> {
    let sql = format!("{TOOL_CALL} AND tool_call_id = $2");
    // As parts are read: no id in a row has U+0000.
    let tool_call_id = text(tool_call_id);
    let values: [&(dyn ToSql + Sync); 2] = [&session_id, &tool_call_id];
    let page = Page::default();
    let calls = within(client, READ_CALLS, &sql, &values, page, tool_call_of).await?;
    Ok(calls.into_iter().next())
}

pub(super) const READ_NOTES: &str = "SELECT generation_notes";
pub(super) const NOTE: &str =
    "SELECT kind, text_id, part, todo_index, content, first_seq, created_at
    FROM generation_notes WHERE session_id = $1";

pub(super) fn note_of(row: &Row) -> Result<Note> {
    let mut columns = Columns::of(row, READ_NOTES);
    Ok(Note {
        kind: columns.named(text_kind)?,
        text_id: columns.take()?,
        part: columns.small()?,
        todo_index: columns.take()?,
        content: columns.take()?,
        first_seq: columns.number()?,
        created_at: columns.time()?,
    })
}

pub(super) async fn notes(
    client: &Object,
    session_id: Uuid,
    after: Option<(u64, u32)>,
    page: Page,
) -> Result<Vec<Note>> {
    let part = |part: u32| i32::try_from(part).unwrap_or(i32::MAX);
    let (seq, part) = after.map_or((0, -1), |(seq, number)| (signed(seq), part(number)));
    let sql = format!("{NOTE} AND (first_seq, part) > ($2, $3) ORDER BY first_seq, part LIMIT $4");
    let limit = i64::from(page.rows);
    let values: [&(dyn ToSql + Sync); 4] = [&session_id, &seq, &part, &limit];
    within(client, READ_NOTES, &sql, &values, page, note_of).await
}

pub(super) async fn events(
    client: &Object,
    command_id: &str,
    after: u64,
    page: Page,
) -> Result<Vec<LoggedEvent>> {
    let operation = "SELECT runner_events";
    if !can_be_there(command_id) {
        return Ok(Vec::new());
    }
    let sql = "SELECT seq, type, body::text, outcome, reason, received_at FROM runner_events
               WHERE command_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    let event = |row: &Row| {
        let mut columns = Columns::of(row, operation);
        Ok(LoggedEvent {
            seq: columns.number()?,
            kind: columns.take()?,
            body: columns.take()?,
            outcome: columns.named(Outcome::named)?,
            reason: columns.take()?,
            received_at: columns.time()?,
        })
    };
    let limit = i64::from(page.rows);
    let values: [&(dyn ToSql + Sync); 3] = [&command_id, &signed(after), &limit];
    within(client, operation, sql, &values, page, event).await
}

pub(super) async fn decisions(client: &Object, session_id: Uuid) -> Result<Vec<Decision>> {
    let operation = "SELECT session_decisions";
    let sql = "SELECT after_seq, kind, reason, at FROM session_decisions
               WHERE session_id = $1 ORDER BY after_seq, id";
    let rows = rows(client, operation, sql, &[&session_id]).await?;
    let decision = |row| {
        let mut columns = Columns::of(row, operation);
        Ok(Decision {
            after_seq: columns.number()?,
            kind: columns.named(DecisionKind::named)?,
            reason: columns.take()?,
            at: columns.time()?,
        })
    };
    rows.iter().map(decision).collect()
}

/// Takes rows until they have more bytes than the page allows; the first one in any case. They are taken as they come, so
/// that no more is held than is given.
async fn within<T: Contents>(
    client: &Object,
    operation: &'static str,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
    page: Page,
    read: impl Fn(&Row) -> Result<T>,
) -> Result<Vec<T>> {
    let statement = client.prepare_cached(sql).await;
    let statement = statement.map_err(during(operation))?;
    let rows = client.query_raw(&statement, values.iter().copied()).await;
    let mut rows = pin!(rows.map_err(during(operation))?);
    let mut taken = Taken::new(page);
    while let Some(row) = rows.try_next().await.map_err(during(operation))? {
        if !taken.take(read(&row)?) {
            break;
        }
    }
    Ok(taken.rows())
}
