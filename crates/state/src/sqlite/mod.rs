//! The embedded database: SQLite, in one file.
//!
//! **Layout.** Plain tables, readable by any SQLite tool: identifiers and JSON as text, times as whole milliseconds
//! since 1970. See `migrations/sqlite/`.
//!
//! **Durability.** The journal is a write-ahead log, and every commit is synced before it is answered
//! (`synchronous = FULL`): what was acknowledged survives a power cut. A commit is one append and one fsync,
//! shared by all events of a group. The log is copied into the database file when it reaches 16 MiB and
//! whenever the database is quiet, so it stays bounded.
//!
//! **Threads.** One thread writes, in the order in which writes were asked for; reads have connections of
//! their own and never wait for it. Both are private to this module.

mod commit;
mod convert;
#[cfg(test)]
mod cost_tests;
mod dashboards;
mod dsns;
mod migrate;
mod projects;
mod rebuild;
mod retention;
mod sessions;
mod threads;
mod tokens;
mod whole;

use std::path::Path;

use async_trait::async_trait;
use hopline_wire::Timestamp;
use hopline_wire::part::TextKind;
use uuid::Uuid;

use self::threads::{Readers, Writer};
use crate::error::StateError;
use crate::group::{Committed, Group, ProjectChange, StatementTiming};
use crate::repair::Repair;
use crate::rows::{
    Command, CommandStatus, Dashboards, Decision, Dsn, Glance, LoggedEvent, NewDsn, Note, Project,
    Runner, RunnerToken, Session, Todo, ToolCall,
};
use crate::store::{
    LastPart, LoadedCommand, Page, QuietBuild, SessionFilter, SessionKey, Store, WholeSession,
};

type Result<T> = std::result::Result<T, StateError>;

/// The rows in one SQLite file.
pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
}

impl SqliteStore {
    /// Opens the database at `path`, makes it if it is not there, and brings its schema up to date. Blocks for
    /// some milliseconds.
    ///
    /// # Errors
    /// [`StateError::NewerSchema`] if a newer program wrote it, [`StateError::Unavailable`] if it cannot be
    /// opened or written, [`StateError::Broken`] if it is no database.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            writer: Writer::start(path, migrate::migrate)?,
            readers: Readers::new(path.to_owned()),
        })
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn system(&self) -> &'static str {
        "sqlite"
    }

    async fn commit(&self, group: Group) -> Result<Committed> {
        let job = move |connection: &mut _| commit::commit(connection, &group);
        self.writer.run("commit a group", job).await
    }

    async fn load_command(&self, command_id: &str) -> Result<Option<LoadedCommand>> {
        let id = command_id.to_owned();
        let read = move |connection: &_| sessions::load_command(connection, &id);
        self.readers.run("SELECT commands", read).await
    }

    async fn last_note_part(
        &self,
        session_id: Uuid,
        kind: TextKind,
        text_id: &str,
    ) -> Result<Option<LastPart>> {
        let text_id = text_id.to_owned();
        let read =
            move |connection: &_| sessions::last_note_part(connection, session_id, kind, &text_id);
        self.readers.run("SELECT generation_notes", read).await
    }

    async fn write_raw_state(
        &self,
        session_id: Uuid,
        last_seq: u64,
        raw_state: String,
    ) -> Result<(bool, Committed)> {
        let write = move |connection: &mut rusqlite::Connection| {
            let start = Timestamp::now();
            let written = sessions::write_raw_state(connection, session_id, last_seq, &raw_state)?;
            let statement = StatementTiming {
                operation: "UPDATE",
                table: "generation_sessions",
                rows: usize::from(written),
                start,
                end: Timestamp::now(),
            };
            let committed = Committed {
                outcomes: Vec::new(),
                statements: vec![statement],
            };
            Ok((written, committed))
        };
        self.writer.run("UPDATE generation_sessions", write).await
    }

    async fn unwritten_builds(&self, limit: u32) -> Result<Vec<String>> {
        let read = move |connection: &_| sessions::unwritten_builds(connection, limit);
        self.readers.run("SELECT generation_sessions", read).await
    }

    async fn quiet_builds(
        &self,
        quiet_since: Timestamp,
        runner_since: Timestamp,
    ) -> Result<Vec<QuietBuild>> {
        let read =
            move |connection: &_| sessions::quiet_builds(connection, quiet_since, runner_since);
        self.readers.run("SELECT generation_sessions", read).await
    }

    async fn create_project(&self, project: Project) -> Result<()> {
        let write = move |connection: &mut _| projects::create_project(connection, &project);
        self.writer.run("INSERT projects", write).await
    }

    async fn project(&self, id: Uuid) -> Result<Option<Project>> {
        let read = move |connection: &_| projects::project(connection, id);
        self.readers.run("SELECT projects", read).await
    }

    async fn project_by_slug(&self, slug: &str) -> Result<Option<Project>> {
        let slug = slug.to_owned();
        let read = move |connection: &_| projects::project_by_slug(connection, &slug);
        self.readers.run("SELECT projects", read).await
    }

    async fn projects(&self) -> Result<Vec<Project>> {
        self.readers
            .run("SELECT projects", projects::projects)
            .await
    }

    async fn update_project(
        &self,
        change: ProjectChange,
        runner_id: Option<String>,
        at: Timestamp,
    ) -> Result<bool> {
        let write = move |connection: &mut _| {
            projects::update_project(connection, &change, runner_id.as_deref(), at)
        };
        self.writer.run("UPDATE projects", write).await
    }

    async fn delete_project(&self, id: Uuid) -> Result<Option<Vec<String>>> {
        let write = move |connection: &mut _| projects::delete_project(connection, id);
        self.writer.run("DELETE projects", write).await
    }

    async fn create_command(&self, command: Command) -> Result<()> {
        let write = move |connection: &mut _| projects::insert_command(connection, &command);
        self.writer.run("INSERT commands", write).await
    }

    async fn create_build(&self, command: Command, session: Session) -> Result<()> {
        let write =
            move |connection: &mut _| sessions::create_build(connection, &command, &session);
        self.writer.run("INSERT generation_sessions", write).await
    }

    async fn set_command_status(
        &self,
        command_id: &str,
        status: CommandStatus,
        at: Timestamp,
    ) -> Result<bool> {
        let id = command_id.to_owned();
        let write =
            move |connection: &mut _| projects::set_command_status(connection, &id, status, at);
        self.writer.run("UPDATE commands", write).await
    }

    async fn unanswered_commands(&self) -> Result<Vec<Command>> {
        let read = projects::unanswered_commands;
        self.readers.run("SELECT commands", read).await
    }

    async fn session(&self, key: SessionKey) -> Result<Option<Session>> {
        let read = move |connection: &_| sessions::session(connection, &key);
        self.readers.run("SELECT generation_sessions", read).await
    }

    async fn raw_state(&self, session_id: Uuid) -> Result<Option<String>> {
        let read = move |connection: &_| sessions::raw_state(connection, session_id);
        self.readers.run("SELECT generation_sessions", read).await
    }

    async fn sessions(&self, filter: SessionFilter) -> Result<Vec<Session>> {
        let read = move |connection: &_| sessions::sessions(connection, &filter);
        self.readers.run("SELECT generation_sessions", read).await
    }

    async fn glances(&self, sessions: Vec<Uuid>) -> Result<Vec<Glance>> {
        let read = move |connection: &_| sessions::glances(connection, &sessions);
        self.readers.run("SELECT generation_sessions", read).await
    }

    async fn whole_session(&self, session_id: Uuid, bytes: usize) -> Result<Option<WholeSession>> {
        let read = move |connection: &_| whole::whole_session(connection, session_id, bytes);
        self.readers.run("SELECT generation_sessions", read).await
    }

    async fn todos(&self, session_id: Uuid) -> Result<Vec<Todo>> {
        let read = move |connection: &_| sessions::todos(connection, session_id);
        self.readers.run("SELECT generation_todos", read).await
    }

    async fn tool_calls(&self, session_id: Uuid, after: u64, page: Page) -> Result<Vec<ToolCall>> {
        let read = move |connection: &_| sessions::tool_calls(connection, session_id, after, page);
        self.readers.run("SELECT generation_tool_calls", read).await
    }

    async fn tool_call(&self, session_id: Uuid, tool_call_id: &str) -> Result<Option<ToolCall>> {
        let id = tool_call_id.to_owned();
        let read = move |connection: &_| sessions::tool_call(connection, session_id, &id);
        self.readers.run("SELECT generation_tool_calls", read).await
    }

    async fn notes(
        &self,
        session_id: Uuid,
        after: Option<(u64, u32)>,
        page: Page,
    ) -> Result<Vec<Note>> {
        let read = move |connection: &_| sessions::notes(connection, session_id, after, page);
        self.readers.run("SELECT generation_notes", read).await
    }

    async fn events(&self, command_id: &str, after: u64, page: Page) -> Result<Vec<LoggedEvent>> {
        let id = command_id.to_owned();
        let read = move |connection: &_| sessions::events(connection, &id, after, page);
        self.readers.run("SELECT runner_events", read).await
    }

    async fn decisions(&self, session_id: Uuid) -> Result<Vec<Decision>> {
        let read = move |connection: &_| sessions::decisions(connection, session_id);
        self.readers.run("SELECT session_decisions", read).await
    }

    async fn upsert_runner(&self, runner: Runner) -> Result<()> {
        let write = move |connection: &mut _| projects::upsert_runner(connection, &runner);
        self.writer.run("INSERT runners", write).await
    }

    async fn forget_runners(&self, seen_before: Timestamp) -> Result<usize> {
        // There is rarely one, and a deletion that finds nothing takes the write lock all the same.
        let look = move |connection: &_| projects::has_past_runners(connection, seen_before);
        if !self.readers.run("SELECT runners", look).await? {
            return Ok(0);
        }
        let write = move |connection: &mut _| projects::forget_runners(connection, seen_before);
        self.writer.run("DELETE runners", write).await
    }

    async fn runner(&self, id: &str) -> Result<Option<Runner>> {
        let id = id.to_owned();
        let read = move |connection: &_| projects::runner(connection, &id);
        self.readers.run("SELECT runners", read).await
    }

    async fn linked_runners(&self, seen_since: Timestamp) -> Result<Vec<Runner>> {
        let read = move |connection: &_| projects::linked_runners(connection, seen_since);
        self.readers.run("SELECT runners", read).await
    }

    async fn runners(&self) -> Result<Vec<Runner>> {
        self.readers.run("SELECT runners", projects::runners).await
    }

    async fn create_runner_token(&self, token: RunnerToken) -> Result<()> {
        let write = move |connection: &mut _| tokens::create(connection, &token);
        self.writer.run(tokens::INSERT, write).await
    }

    async fn runner_tokens(&self) -> Result<Vec<RunnerToken>> {
        self.readers.run(tokens::SELECT, tokens::all).await
    }

    async fn live_runner_tokens(&self, hashes: Vec<String>) -> Result<Vec<RunnerToken>> {
        let read = move |connection: &_| tokens::live(connection, &hashes);
        self.readers.run(tokens::SELECT, read).await
    }

    async fn note_runner_tokens_used(&self, ids: Vec<Uuid>, at: Timestamp) -> Result<()> {
        let write = move |connection: &mut _| tokens::note_used(connection, &ids, at);
        self.writer.run(tokens::UPDATE, write).await
    }

    async fn revoke_runner_token(&self, id: Uuid, at: Timestamp) -> Result<Option<RunnerToken>> {
        let write = move |connection: &mut _| tokens::revoke(connection, id, at);
        self.writer.run(tokens::UPDATE, write).await
    }

    async fn create_dsn(&self, dsn: NewDsn) -> Result<Dsn> {
        let write = move |connection: &mut _| dsns::create(connection, &dsn);
        self.writer.run(dsns::INSERT, write).await
    }

    async fn dsns(&self) -> Result<Vec<Dsn>> {
        self.readers.run(dsns::SELECT, dsns::all).await
    }

    async fn revoke_dsn(&self, number: u64, at: Timestamp) -> Result<Option<Dsn>> {
        let write = move |connection: &mut _| dsns::revoke(connection, number, at);
        self.writer.run(dsns::UPDATE, write).await
    }

    async fn dashboards(&self) -> Result<Option<Dashboards>> {
        self.readers.run(dashboards::SELECT, dashboards::read).await
    }

    async fn save_dashboards(
        &self,
        version: u64,
        document: String,
        at: Timestamp,
    ) -> Result<Option<u64>> {
        let write = move |connection: &mut _| dashboards::save(connection, version, &document, at);
        self.writer.run(dashboards::UPDATE, write).await
    }

    async fn check(&self) -> Result<()> {
        let read = |connection: &rusqlite::Connection| {
            connection.query_row("SELECT 1 FROM schema_migrations LIMIT 1", [], |_| Ok(()))
        };
        self.readers.run("SELECT schema_migrations", read).await
    }

    async fn close(&self) {
        self.readers.close();
        self.writer.close().await;
    }

    async fn repair(&self, repair: Repair) -> Result<bool> {
        let write = move |connection: &mut _| rebuild::repair(connection, &repair);
        self.writer.run("repair a build", write).await
    }

    async fn old_logs(&self, before: Timestamp, limit: u32) -> Result<Vec<String>> {
        let read = move |connection: &_| retention::old_logs(connection, before, limit);
        self.readers.run("SELECT runner_events", read).await
    }

    async fn remove_log(&self, command_id: &str, before: Timestamp, page: Page) -> Result<usize> {
        let id = command_id.to_owned();
        let write = move |connection: &mut _| retention::remove_log(connection, &id, before, page);
        self.writer.run("DELETE runner_events", write).await
    }
}
