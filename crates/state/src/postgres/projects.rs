//! Projects, commands and runners in PostgreSQL.

use deadpool_postgres::{GenericClient, Object};
use hopline_wire::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::convert::{Columns, Millis, during, signed, text, unsigned};
use super::query::{can_be_there, change, row, rows};
use super::statements;
use crate::error::{Conflict, StateError};
use crate::group::ProjectChange;
use crate::reading::RunnerSays;
use crate::rows::{Command, CommandStatus, LinkState, Project, ProjectStatus, Runner};

type Result<T> = std::result::Result<T, StateError>;

const READ_PROJECTS: &str = "SELECT projects";
const PROJECT: &str = "SELECT id, name, slug, description, status, project_type, path, run_command,
    port, dev_server_port, dev_server_status, runner_id, error_message, last_activity_at, created_at, updated_at
    FROM projects";

fn project_of(row: &Row) -> Result<Project> {
    let mut columns = Columns::of(row, READ_PROJECTS);
    Ok(Project {
        id: columns.take()?,
        name: columns.take()?,
        slug: columns.take()?,
        description: columns.take()?,
        status: columns.named(ProjectStatus::named)?,
        project_type: columns.take()?,
        path: columns.take()?,
        run_command: columns.take()?,
        port: columns.small_if_any()?,
        dev_server_port: columns.small_if_any()?,
        dev_server_status: columns.take()?,
        runner_id: columns.take()?,
        error_message: columns.take()?,
        last_activity_at: columns.time_if_any()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
    })
}

pub(super) async fn project(client: &Object, id: Uuid) -> Result<Option<Project>> {
    let sql = format!("{PROJECT} WHERE id = $1");
    let row = row(client, READ_PROJECTS, &sql, &[&id]).await?;
    row.as_ref().map(project_of).transpose()
}

pub(super) async fn project_by_slug(client: &Object, slug: &str) -> Result<Option<Project>> {
    if !can_be_there(slug) {
        return Ok(None);
    }
    let sql = format!("{PROJECT} WHERE slug = $1");
    let row = row(client, READ_PROJECTS, &sql, &[&slug]).await?;
    row.as_ref().map(project_of).transpose()
}

pub(super) async fn projects(client: &Object) -> Result<Vec<Project>> {
    let sql = format!("{PROJECT} ORDER BY created_at DESC, id");
    let rows = rows(client, READ_PROJECTS, &sql, &[]).await?;
    rows.iter().map(project_of).collect()
}

pub(super) async fn create_project(client: &Object, project: &Project) -> Result<()> {
    let operation = "INSERT projects";
    let created = change(
        client,
        operation,
        "INSERT INTO projects
             (id, name, slug, description, status, project_type, path, run_command, port, dev_server_port,
              dev_server_status, runner_id, error_message, last_activity_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
         ON CONFLICT (slug) DO NOTHING",
        &[
            &project.id,
            &text(&project.name),
            &project.slug,
            &project.description.as_deref().map(text),
            &project.status.as_str(),
            &project.project_type.as_deref().map(text),
            &project.path.as_deref().map(text),
            &project.run_command.as_deref().map(text),
            &project.port.map(i32::from),
            &project.dev_server_port.map(i32::from),
            &project.dev_server_status,
            &project.runner_id,
            &project.error_message.as_deref().map(text),
            &project.last_activity_at.map(Millis),
            &Millis(project.created_at),
            &Millis(project.updated_at),
        ],
    )
    .await?;
    if created == 0 {
        return Err(StateError::Conflict {
            operation,
            conflict: Conflict::SlugTaken,
        });
    }
    Ok(())
}

pub(super) async fn update_project(
    client: &mut Object,
    wanted: &ProjectChange,
    runner_id: Option<&str>,
    at: Timestamp,
) -> Result<bool> {
    let operation = "UPDATE projects";
    let transaction = client.transaction().await.map_err(during(operation))?;
    if let Some(step) = statements::update_projects(std::iter::once(wanted)) {
        let values: Vec<&(dyn ToSql + Sync)> =
            step.values.iter().map(|value| &**value as _).collect();
        change(&transaction, operation, step.sql, &values).await?;
    }
    let touched = change(
        &transaction,
        operation,
        "UPDATE projects SET runner_id = COALESCE($1, runner_id), updated_at = $2 WHERE id = $3",
        &[&runner_id, &Millis(at), &wanted.project_id],
    )
    .await?;
    transaction.commit().await.map_err(during(operation))?;
    Ok(touched > 0)
}

/// Locks a project's row, so that whoever else begins or deletes something in it waits, and refuses what must not be while
/// it has a running build.
pub(super) async fn refuse_running(
    client: &impl GenericClient,
    project_id: Uuid,
    operation: &'static str,
) -> Result<()> {
    let lock = "SELECT 1 FROM projects WHERE id = $1 FOR UPDATE";
    row(client, operation, lock, &[&project_id]).await?;
    let running =
        "SELECT 1 FROM generation_sessions WHERE project_id = $1 AND status = 'active' LIMIT 1";
    match row(client, operation, running, &[&project_id]).await? {
        None => Ok(()),
        Some(_) => Err(StateError::Conflict {
            operation,
            conflict: Conflict::BuildRunning,
        }),
    }
}

pub(super) async fn delete_project(client: &mut Object, id: Uuid) -> Result<Option<Vec<String>>> {
    let operation = "DELETE projects";
    let transaction = client.transaction().await.map_err(during(operation))?;
    // Commands before projects, as every commit locks them.
    let lock = "SELECT 1 FROM commands WHERE project_id = $1 ORDER BY id FOR UPDATE";
    rows(&transaction, operation, lock, &[&id]).await?;
    refuse_running(&transaction, id, operation).await?;
    let found = "SELECT id FROM commands WHERE project_id = $1";
    let found = rows(&transaction, operation, found, &[&id]).await?;
    let commands: Vec<String> = found
        .iter()
        .map(|row| Columns::of(row, operation).take())
        .collect::<Result<_>>()?;
    let log = "DELETE FROM runner_events WHERE command_id = ANY ($1)";
    change(&transaction, operation, log, &[&commands]).await?;
    // Commands, builds and their rows go with the project, by their foreign keys.
    let sql = "DELETE FROM projects WHERE id = $1";
    let deleted = change(&transaction, operation, sql, &[&id]).await?;
    transaction.commit().await.map_err(during(operation))?;
    Ok((deleted > 0).then_some(commands))
}

const READ_COMMANDS: &str = "SELECT commands";
/// The columns of a command, of a table called `command`.
pub(super) const COMMAND: &str = "command.id, command.project_id, command.runner_id, command.type, command.status,
    command.last_seq, command.link, command.link_seq, command.trace_id, command.created_at, command.ended_at";

pub(super) fn command_of(columns: &mut Columns<'_>) -> Result<Command> {
    Ok(Command {
        id: columns.take()?,
        project_id: columns.take()?,
        runner_id: columns.take()?,
        kind: columns.take()?,
        status: columns.named(CommandStatus::named)?,
        last_seq: columns.number()?,
        link: columns.take()?,
        link_seq: columns.take::<Option<i64>>()?.map(unsigned),
        trace_id: columns.trace()?,
        created_at: columns.time()?,
        ended_at: columns.time_if_any()?,
    })
}

pub(super) async fn insert_command(client: &impl GenericClient, command: &Command) -> Result<()> {
    change(
        client,
        "INSERT commands",
        "INSERT INTO commands
             (id, project_id, runner_id, type, status, last_seq, link, link_seq, trace_id, created_at, ended_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        &[
            &command.id,
            &command.project_id,
            &command.runner_id,
            &command.kind,
            &command.status.as_str(),
            &signed(command.last_seq),
            &command.link,
            &command.link_seq.map(signed),
            &command.trace_id.map(|id| id.to_string()),
            &Millis(command.created_at),
            &command.ended_at.map(Millis),
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn set_command_status(
    client: &Object,
    command_id: &str,
    status: CommandStatus,
    at: Timestamp,
) -> Result<bool> {
    let ended = matches!(status, CommandStatus::Ended | CommandStatus::Failed);
    let earlier: &[&str] = match status {
        CommandStatus::Queued => &[],
        CommandStatus::Sent => &["queued"],
        CommandStatus::Acked => &["queued", "sent"],
        CommandStatus::Ended | CommandStatus::Failed => &["queued", "sent", "acked"],
    };
    let touched = change(
        client,
        "UPDATE commands",
        "UPDATE commands SET status = $1, ended_at = COALESCE(ended_at, $2)
         WHERE id = $3 AND status = ANY ($4)",
        &[
            &status.as_str(),
            &ended.then_some(Millis(at)),
            &command_id,
            &earlier,
        ],
    )
    .await?;
    Ok(touched > 0)
}

pub(super) async fn unanswered_commands(client: &Object) -> Result<Vec<Command>> {
    let sql = format!(
        "SELECT {COMMAND} FROM commands AS command WHERE status IN ('queued', 'sent') ORDER BY created_at, id"
    );
    let rows = rows(client, READ_COMMANDS, &sql, &[]).await?;
    let command = |row| command_of(&mut Columns::of(row, READ_COMMANDS));
    rows.iter().map(command).collect()
}

pub(super) async fn upsert_runner(client: &Object, runner: &Runner) -> Result<()> {
    change(
        client,
        "INSERT runners",
        "INSERT INTO runners AS runner (id, broker_url, link, payload, last_seen_at)
         VALUES ($1, $2, $3, $4::text::json, $5)
         ON CONFLICT (id) DO UPDATE SET
             broker_url = COALESCE(excluded.broker_url, runner.broker_url), link = excluded.link,
             payload = COALESCE(excluded.payload, runner.payload), last_seen_at = excluded.last_seen_at",
        &[
            &runner.id,
            &runner.broker_url,
            &runner.link.as_str(),
            &runner.payload,
            &Millis(runner.last_seen_at),
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn forget_runners(client: &Object, seen_before: Timestamp) -> Result<usize> {
    // Whether a runner is one of a single build is read here: a payload may hold what PostgreSQL stores and does not read.
    let past = rows(
        client,
        "SELECT runners",
        "SELECT id, payload::text FROM runners
         WHERE last_seen_at < $1 AND payload IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM generation_sessions AS session
             JOIN commands AS command ON command.id = session.command_id
             WHERE session.status = 'active' AND command.runner_id = runners.id)",
        &[&Millis(seen_before)],
    )
    .await?;
    let mut over: Vec<String> = Vec::new();
    for row in &past {
        let mut columns = Columns::of(row, "SELECT runners");
        let (id, payload): (String, &str) = (columns.take()?, columns.take()?);
        if RunnerSays::read(payload).one_build {
            over.push(id);
        }
    }
    if over.is_empty() {
        return Ok(0);
    }
    // A project may have been given to one before it said what it is.
    let free = "UPDATE projects SET runner_id = NULL WHERE runner_id = ANY ($1)";
    change(client, "UPDATE projects", free, &[&over]).await?;
    let sql = "DELETE FROM runners WHERE id = ANY ($1) AND last_seen_at < $2";
    let values: [&(dyn ToSql + Sync); 2] = [&over, &Millis(seen_before)];
    let deleted = change(client, "DELETE runners", sql, &values).await?;
    Ok(usize::try_from(deleted).unwrap_or(usize::MAX))
}

const READ_RUNNERS: &str = "SELECT runners";
const RUNNER: &str = "SELECT id, broker_url, link, payload::text, last_seen_at FROM runners";

fn runner_of(row: &Row) -> Result<Runner> {
    let mut columns = Columns::of(row, READ_RUNNERS);
    Ok(Runner {
        id: columns.take()?,
        broker_url: columns.take()?,
        link: columns.named(LinkState::named)?,
        payload: columns.take()?,
        last_seen_at: columns.time()?,
    })
}

pub(super) async fn runner(client: &Object, id: &str) -> Result<Option<Runner>> {
    if !can_be_there(id) {
        return Ok(None);
    }
    let sql = format!("{RUNNER} WHERE id = $1");
    let row = row(client, READ_RUNNERS, &sql, &[&id]).await?;
    row.as_ref().map(runner_of).transpose()
}

pub(super) async fn linked_runners(client: &Object, seen_since: Timestamp) -> Result<Vec<Runner>> {
    let sql = format!("{RUNNER} WHERE link = 'up' AND last_seen_at >= $1 ORDER BY id");
    let rows = rows(client, READ_RUNNERS, &sql, &[&Millis(seen_since)]).await?;
    rows.iter().map(runner_of).collect()
}

pub(super) async fn runners(client: &Object) -> Result<Vec<Runner>> {
    let sql = format!("{RUNNER} ORDER BY id");
    let rows = rows(client, READ_RUNNERS, &sql, &[]).await?;
    rows.iter().map(runner_of).collect()
}
