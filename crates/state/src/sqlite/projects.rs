//! Projects, commands and runners in SQLite.

use hopline_wire::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use uuid::Uuid;

use super::commit::{Run, update_projects};
use super::convert::{Id, Millis, Trace, during, name, number, signed, time, time_there};
use super::sessions::refuse_running;
use crate::error::{Conflict, StateError};
use crate::group::{Progress, ProjectChange};
use crate::rows::{Command, CommandStatus, LinkState, Project, ProjectStatus, Runner};

type Result<T> = std::result::Result<T, StateError>;

const PROJECT: &str = "SELECT id, name, slug, description, status, project_type, path, run_command,
    port, dev_server_port, dev_server_status, runner_id, error_message, last_activity_at, created_at, updated_at
    FROM projects";

fn project_of(row: &Row<'_>) -> rusqlite::Result<Project> {
    Ok(Project {
        id: row.get::<_, Id>(0)?.0,
        name: row.get(1)?,
        slug: row.get(2)?,
        description: row.get(3)?,
        status: name(row, 4, ProjectStatus::named)?,
        project_type: row.get(5)?,
        path: row.get(6)?,
        run_command: row.get(7)?,
        port: row.get(8)?,
        dev_server_port: row.get(9)?,
        dev_server_status: row.get(10)?,
        runner_id: row.get(11)?,
        error_message: row.get(12)?,
        last_activity_at: time(row, 13)?,
        created_at: time_there(row, 14)?,
        updated_at: time_there(row, 15)?,
    })
}

pub(super) fn project(connection: &Connection, id: Uuid) -> rusqlite::Result<Option<Project>> {
    connection
        .prepare_cached(&format!("{PROJECT} WHERE id = ?"))?
        .query_row([Id(id)], project_of)
        .optional()
}

pub(super) fn project_by_slug(
    connection: &Connection,
    slug: &str,
) -> rusqlite::Result<Option<Project>> {
    connection
        .prepare_cached(&format!("{PROJECT} WHERE slug = ?"))?
        .query_row([slug], project_of)
        .optional()
}

pub(super) fn projects(connection: &Connection) -> rusqlite::Result<Vec<Project>> {
    connection
        .prepare_cached(&format!("{PROJECT} ORDER BY created_at DESC, id"))?
        .query_map([], project_of)?
        .collect()
}

pub(super) fn create_project(connection: &Connection, project: &Project) -> Result<()> {
    let operation = "INSERT projects";
    let slug_taken = connection
        .query_row(
            "SELECT 1 FROM projects WHERE slug = ?",
            [&project.slug],
            |_| Ok(()),
        )
        .optional()
        .map_err(during(operation))?;
    if slug_taken.is_some() {
        let conflict = Conflict::SlugTaken;
        return Err(StateError::Conflict {
            operation,
            conflict,
        });
    }
    connection
        .execute(
            "INSERT INTO projects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                Id(project.id),
                project.name,
                project.slug,
                project.description,
                project.status.as_str(),
                project.project_type,
                project.path,
                project.run_command,
                project.port,
                project.dev_server_port,
                project.dev_server_status,
                project.runner_id,
                project.error_message,
                project.last_activity_at.map(Millis),
                Millis(project.created_at),
                Millis(project.updated_at),
            ],
        )
        .map_err(during(operation))?;
    Ok(())
}

pub(super) fn update_project(
    connection: &mut Connection,
    change: &ProjectChange,
    runner_id: Option<&str>,
    at: Timestamp,
) -> Result<bool> {
    let operation = "UPDATE projects";
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(during(operation))?;
    let mut run = Run {
        connection: &transaction,
        progress: &Progress::default(),
    };
    update_projects(&mut run, std::iter::once(change))?;
    let touched = transaction
        .execute(
            "UPDATE projects SET runner_id = COALESCE(?, runner_id), updated_at = ? WHERE id = ?",
            params![runner_id, Millis(at), Id(change.project_id)],
        )
        .map_err(during(operation))?;
    transaction.commit().map_err(during(operation))?;
    Ok(touched > 0)
}

pub(super) fn delete_project(connection: &mut Connection, id: Uuid) -> Result<Option<Vec<String>>> {
    let operation = "DELETE projects";
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(during(operation))?;
    refuse_running(&transaction, id, operation)?;
    let delete = || -> rusqlite::Result<(Vec<String>, usize)> {
        let commands = transaction
            .prepare("SELECT id FROM commands WHERE project_id = ?")?
            .query_map([Id(id)], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        transaction.execute(
            "DELETE FROM runner_events
             WHERE command_id IN (SELECT id FROM commands WHERE project_id = ?)",
            [Id(id)],
        )?;
        // Commands, builds and their rows go with the project, by their foreign keys.
        let deleted = transaction.execute("DELETE FROM projects WHERE id = ?", [Id(id)])?;
        Ok((commands, deleted))
    };
    let (commands, deleted) = delete().map_err(during(operation))?;
    transaction.commit().map_err(during(operation))?;
    Ok((deleted > 0).then_some(commands))
}

pub(super) const COMMAND: &str =
    "SELECT id, project_id, runner_id, type, status, last_seq, link, link_seq,
    trace_id, created_at, ended_at FROM commands";

pub(super) fn command_of(row: &Row<'_>) -> rusqlite::Result<Command> {
    Ok(Command {
        id: row.get(0)?,
        project_id: row.get::<_, Option<Id>>(1)?.map(|id| id.0),
        runner_id: row.get(2)?,
        kind: row.get(3)?,
        status: name(row, 4, CommandStatus::named)?,
        last_seq: number(row, 5)?,
        link: row.get(6)?,
        link_seq: row
            .get::<_, Option<i64>>(7)?
            .and_then(|seq| u64::try_from(seq).ok()),
        trace_id: row.get::<_, Option<Trace>>(8)?.map(|id| id.0),
        created_at: time_there(row, 9)?,
        ended_at: time(row, 10)?,
    })
}

pub(super) fn insert_command(connection: &Connection, command: &Command) -> Result<()> {
    connection
        .execute(
            "INSERT INTO commands VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                command.id,
                command.project_id.map(Id),
                command.runner_id,
                command.kind,
                command.status.as_str(),
                signed(command.last_seq),
                command.link,
                command.link_seq.map(signed),
                command.trace_id.map(Trace),
                Millis(command.created_at),
                command.ended_at.map(Millis),
            ],
        )
        .map_err(during("INSERT commands"))?;
    Ok(())
}

pub(super) fn set_command_status(
    connection: &Connection,
    command_id: &str,
    status: CommandStatus,
    at: Timestamp,
) -> Result<bool> {
    let ended = matches!(status, CommandStatus::Ended | CommandStatus::Failed);
    let earlier = match status {
        CommandStatus::Queued => "''",
        CommandStatus::Sent => "'queued'",
        CommandStatus::Acked => "'queued', 'sent'",
        CommandStatus::Ended | CommandStatus::Failed => "'queued', 'sent', 'acked'",
    };
    let sql = format!(
        "UPDATE commands SET status = ?, ended_at = COALESCE(ended_at, ?)
         WHERE id = ? AND status IN ({earlier})"
    );
    let touched = connection
        .prepare_cached(&sql)
        .and_then(|mut statement| {
            statement.execute(params![
                status.as_str(),
                ended.then_some(Millis(at)),
                command_id
            ])
        })
        .map_err(during("UPDATE commands"))?;
    Ok(touched > 0)
}

pub(super) fn unanswered_commands(connection: &Connection) -> rusqlite::Result<Vec<Command>> {
    connection
        .prepare_cached(&format!(
            "{COMMAND} WHERE status IN ('queued', 'sent') ORDER BY created_at, id"
        ))?
        .query_map([], command_of)?
        .collect()
}

pub(super) fn upsert_runner(connection: &Connection, runner: &Runner) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO runners VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET
                 broker_url = COALESCE(excluded.broker_url, broker_url), link = excluded.link,
                 payload = COALESCE(excluded.payload, payload), last_seen_at = excluded.last_seen_at",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                runner.id,
                runner.broker_url,
                runner.link.as_str(),
                runner.payload,
                Millis(runner.last_seen_at),
            ])
        })
        .map_err(during("INSERT runners"))?;
    Ok(())
}

/// Runners of one build that were last heard of before then and have none that runs.
const PAST_RUNNERS: &str = "FROM runners
    WHERE last_seen_at < ? AND json_valid(payload) AND json_extract(payload, '$.oneBuild') = TRUE
    AND NOT EXISTS (SELECT 1 FROM generation_sessions AS session
        JOIN commands AS command ON command.id = session.command_id
        WHERE session.status = 'active' AND command.runner_id = runners.id)";

pub(super) fn has_past_runners(
    connection: &Connection,
    seen_before: Timestamp,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(&format!("SELECT 1 {PAST_RUNNERS} LIMIT 1"))?
        .exists([Millis(seen_before)])
}

pub(super) fn forget_runners(connection: &Connection, seen_before: Timestamp) -> Result<usize> {
    // A project may have been given to one before it said what it is.
    connection
        .prepare_cached(&format!(
            "UPDATE projects SET runner_id = NULL WHERE runner_id IN (SELECT id {PAST_RUNNERS})"
        ))
        .and_then(|mut statement| statement.execute([Millis(seen_before)]))
        .map_err(during("UPDATE projects"))?;
    connection
        .prepare_cached(&format!("DELETE {PAST_RUNNERS}"))
        .and_then(|mut statement| statement.execute([Millis(seen_before)]))
        .map_err(during("DELETE runners"))
}

const RUNNER: &str = "SELECT id, broker_url, link, payload, last_seen_at FROM runners";

fn runner_of(row: &Row<'_>) -> rusqlite::Result<Runner> {
    Ok(Runner {
        id: row.get(0)?,
        broker_url: row.get(1)?,
        link: name(row, 2, LinkState::named)?,
        payload: row.get(3)?,
        last_seen_at: time_there(row, 4)?,
    })
}

pub(super) fn runner(connection: &Connection, id: &str) -> rusqlite::Result<Option<Runner>> {
    connection
        .prepare_cached(&format!("{RUNNER} WHERE id = ?"))?
        .query_row([id], runner_of)
        .optional()
}

pub(super) fn linked_runners(
    connection: &Connection,
    seen_since: Timestamp,
) -> rusqlite::Result<Vec<Runner>> {
    connection
        .prepare_cached(&format!(
            "{RUNNER} WHERE link = 'up' AND last_seen_at >= ? ORDER BY id"
        ))?
        .query_map([Millis(seen_since)], runner_of)?
        .collect()
}

pub(super) fn runners(connection: &Connection) -> rusqlite::Result<Vec<Runner>> {
    connection
        .prepare_cached(&format!("{RUNNER} ORDER BY id"))?
        .query_map([], runner_of)?
        .collect()
}
