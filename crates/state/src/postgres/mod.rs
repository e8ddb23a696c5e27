//! The database of teams: PostgreSQL, 14 or newer, shared by as many servers as point at it.
//!
//! **Layout.** The same tables as in SQLite, in PostgreSQL's own types: identifiers as `uuid` where they are, times as
//! `timestamptz` in whole milliseconds, JSON as `json`. See `migrations/postgres/`.
//!
//! **Durability.** What was acknowledged is as durable as the database's `COMMIT` is: with `fsync` and
//! `synchronous_commit` on, as they are unless somebody turned them off, it survives a power cut. When the connection
//! breaks during a `COMMIT`, the database is asked whether it took place (module `doubt`) before anyone is told.
//!
//! **Connections.** A bounded pool. A group takes one of them for two round trips (module `commit`); a read takes one for as
//! long as it reads. None is waited for without end, and the database gives up by itself what nobody waits for any more.
//!
//! **Several servers.** A command's row is locked while a group is committed, and a batch that was folded from elsewhere is
//! left out: so one server at a time applies events of a command, and whoever comes second reads anew.

mod address;
mod commit;
mod convert;
mod dashboards;
mod doorbell;
mod doubt;
mod dsns;
mod migrate;
mod pipeline;
mod pool;
mod projects;
mod query;
mod rebuild;
mod retention;
mod sessions;
mod statements;
mod tls;
mod tokens;
mod whole;

use std::sync::Arc;

use async_trait::async_trait;
use deadpool_postgres::{Object, Pool};
use hopline_wire::Timestamp;
use hopline_wire::part::TextKind;
use uuid::Uuid;

pub use self::address::Address;
use self::convert::{Columns, no_connection};
use self::doorbell::Bell;
use crate::doorbell::Doorbell;
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

/// How many connections a server holds, unless told otherwise.
pub const CONNECTIONS: usize = 8;

/// The rows in a PostgreSQL database.
pub struct PostgresStore {
    pool: Pool,
    bell: Arc<Bell>,
}

impl PostgresStore {
    /// Connects to the database, which must be there, and brings its schema up to date. At most `connections`, at least one,
    /// are held at once.
    ///
    /// # Errors
    /// [`StateError::NewerSchema`] if a newer program wrote it, [`StateError::Unavailable`] if it cannot be reached or
    /// does not let this user in or write.
    pub async fn open(address: &Address, connections: usize) -> Result<Self> {
        let operation = "open the database";
        let pool = pool::pool(address, connections.max(1))?;
        let client = pool.get().await;
        let mut client = client.map_err(|error| no_connection(operation, error))?;
        migrate::migrate(&mut client).await?;
        warn_of_lost_commits(&client).await?;
        drop(client);
        let bell = Arc::new(Bell::new(address)?);
        Ok(Self { pool, bell })
    }

    async fn client(&self, operation: &'static str) -> Result<Object> {
        let client = self.pool.get().await;
        client.map_err(|error| no_connection(operation, error))
    }
}

/// Says so if the database is set not to keep what it has committed.
async fn warn_of_lost_commits(client: &Object) -> Result<()> {
    let operation = "SELECT pg_settings";
    let sql = "SELECT name FROM pg_settings
               WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes') AND setting = 'off'";
    for row in &query::rows(client, operation, sql, &[]).await? {
        let setting: String = Columns::of(row, operation).take()?;
        tracing::warn!(
            setting,
            "the database has this setting off: what it has committed may be lost in a crash"
        );
    }
    Ok(())
}

#[async_trait]
impl Store for PostgresStore {
    fn system(&self) -> &'static str {
        "postgresql"
    }

    fn doorbell(&self) -> Option<Arc<dyn Doorbell>> {
        Some(Arc::clone(&self.bell) as _)
    }

    async fn commit(&self, group: Group) -> Result<Committed> {
        commit::commit(&self.pool, &group).await
    }

    async fn load_command(&self, command_id: &str) -> Result<Option<LoadedCommand>> {
        let client = self.client("SELECT commands").await?;
        sessions::load_command(&client, command_id).await
    }

    async fn last_note_part(
        &self,
        session_id: Uuid,
        kind: TextKind,
        text_id: &str,
    ) -> Result<Option<LastPart>> {
        let client = self.client("SELECT generation_notes").await?;
        sessions::last_note_part(&client, session_id, kind, text_id).await
    }

    async fn write_raw_state(
        &self,
        session_id: Uuid,
        last_seq: u64,
        raw_state: String,
    ) -> Result<(bool, Committed)> {
        let start = Timestamp::now();
        let client = self.client("UPDATE generation_sessions").await?;
        let written = sessions::write_raw_state(&client, session_id, last_seq, &raw_state).await?;
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
    }

    async fn unwritten_builds(&self, limit: u32) -> Result<Vec<String>> {
        let client = self.client("SELECT generation_sessions").await?;
        sessions::unwritten_builds(&client, limit).await
    }

    async fn quiet_builds(
        &self,
        quiet_since: Timestamp,
        runner_since: Timestamp,
    ) -> Result<Vec<QuietBuild>> {
        let client = self.client("SELECT generation_sessions").await?;
        sessions::quiet_builds(&client, quiet_since, runner_since).await
    }

    async fn create_project(&self, project: Project) -> Result<()> {
        let client = self.client("INSERT projects").await?;
        projects::create_project(&client, &project).await
    }

    async fn project(&self, id: Uuid) -> Result<Option<Project>> {
        let client = self.client("SELECT projects").await?;
        projects::project(&client, id).await
    }

    async fn project_by_slug(&self, slug: &str) -> Result<Option<Project>> {
        let client = self.client("SELECT projects").await?;
        projects::project_by_slug(&client, slug).await
    }

    async fn projects(&self) -> Result<Vec<Project>> {
        let client = self.client("SELECT projects").await?;
        projects::projects(&client).await
    }

    async fn update_project(
        &self,
        change: ProjectChange,
        runner_id: Option<String>,
        at: Timestamp,
    ) -> Result<bool> {
        let mut client = self.client("UPDATE projects").await?;
        projects::update_project(&mut client, &change, runner_id.as_deref(), at).await
    }

    async fn delete_project(&self, id: Uuid) -> Result<Option<Vec<String>>> {
        let mut client = self.client("DELETE projects").await?;
        projects::delete_project(&mut client, id).await
    }

    async fn create_command(&self, command: Command) -> Result<()> {
        let client = self.client("INSERT commands").await?;
        projects::insert_command(&client, &command).await
    }

    async fn create_build(&self, command: Command, session: Session) -> Result<()> {
        let mut client = self.client("INSERT generation_sessions").await?;
        sessions::create_build(&mut client, &command, &session).await
    }

    async fn set_command_status(
        &self,
        command_id: &str,
        status: CommandStatus,
        at: Timestamp,
    ) -> Result<bool> {
        let client = self.client("UPDATE commands").await?;
        projects::set_command_status(&client, command_id, status, at).await
    }

    async fn unanswered_commands(&self) -> Result<Vec<Command>> {
        let client = self.client("SELECT commands").await?;
        projects::unanswered_commands(&client).await
    }

    async fn session(&self, key: SessionKey) -> Result<Option<Session>> {
        let client = self.client("SELECT generation_sessions").await?;
        sessions::session(&client, &key).await
    }

    async fn raw_state(&self, session_id: Uuid) -> Result<Option<String>> {
        let client = self.client("SELECT generation_sessions").await?;
        sessions::raw_state(&client, session_id).await
    }

    async fn sessions(&self, filter: SessionFilter) -> Result<Vec<Session>> {
        let client = self.client("SELECT generation_sessions").await?;
        sessions::sessions(&client, &filter).await
    }

    async fn glances(&self, sessions: Vec<Uuid>) -> Result<Vec<Glance>> {
        let client = self.client("SELECT generation_sessions").await?;
        sessions::glances(&client, &sessions).await
    }

    async fn whole_session(&self, session_id: Uuid, bytes: usize) -> Result<Option<WholeSession>> {
        let mut client = self.client("SELECT generation_sessions").await?;
        whole::whole_session(&mut client, session_id, bytes).await
    }

    async fn todos(&self, session_id: Uuid) -> Result<Vec<Todo>> {
        let client = self.client("SELECT generation_todos").await?;
        sessions::todos(&client, session_id).await
    }

    async fn tool_calls(&self, session_id: Uuid, after: u64, page: Page) -> Result<Vec<ToolCall>> {
        let client = self.client("SELECT generation_tool_calls").await?;
        sessions::tool_calls(&client, session_id, after, page).await
    }

    async fn tool_call(&self, session_id: Uuid, tool_call_id: &str) -> Result<Option<ToolCall>> {
        let client = self.client("SELECT generation_tool_calls").await?;
        sessions::tool_call(&client, session_id, tool_call_id).await
    }

    async fn notes(
        &self,
        session_id: Uuid,
        after: Option<(u64, u32)>,
        page: Page,
    ) -> Result<Vec<Note>> {
        let client = self.client("SELECT generation_notes").await?;
        sessions::notes(&client, session_id, after, page).await
    }

    async fn events(&self, command_id: &str, after: u64, page: Page) -> Result<Vec<LoggedEvent>> {
        let client = self.client("SELECT runner_events").await?;
        sessions::events(&client, command_id, after, page).await
    }

    async fn decisions(&self, session_id: Uuid) -> Result<Vec<Decision>> {
        let client = self.client("SELECT session_decisions").await?;
        sessions::decisions(&client, session_id).await
    }

    async fn upsert_runner(&self, runner: Runner) -> Result<()> {
        let client = self.client("INSERT runners").await?;
        projects::upsert_runner(&client, &runner).await
    }

    async fn forget_runners(&self, seen_before: Timestamp) -> Result<usize> {
        let client = self.client("SELECT runners").await?;
        projects::forget_runners(&client, seen_before).await
    }

    async fn runner(&self, id: &str) -> Result<Option<Runner>> {
        let client = self.client("SELECT runners").await?;
        projects::runner(&client, id).await
    }

    async fn linked_runners(&self, seen_since: Timestamp) -> Result<Vec<Runner>> {
        let client = self.client("SELECT runners").await?;
        projects::linked_runners(&client, seen_since).await
    }

    async fn runners(&self) -> Result<Vec<Runner>> {
        let client = self.client("SELECT runners").await?;
        projects::runners(&client).await
    }

    async fn repair(&self, repair: Repair) -> Result<bool> {
        let mut client = self.client("BEGIN").await?;
        rebuild::repair(&mut client, &repair).await
    }

    async fn old_logs(&self, before: Timestamp, limit: u32) -> Result<Vec<String>> {
        let client = self.client("SELECT commands").await?;
        retention::old_logs(&client, before, limit).await
    }

    async fn remove_log(&self, command_id: &str, before: Timestamp, page: Page) -> Result<usize> {
        let mut client = self.client("DELETE runner_events").await?;
        retention::remove_log(&mut client, command_id, before, page).await
    }

    async fn create_runner_token(&self, token: RunnerToken) -> Result<()> {
        let client = self.client(tokens::INSERT).await?;
        tokens::create(&client, &token).await
    }

    async fn runner_tokens(&self) -> Result<Vec<RunnerToken>> {
        let client = self.client(tokens::SELECT).await?;
        tokens::all(&client).await
    }

    async fn live_runner_tokens(&self, hashes: Vec<String>) -> Result<Vec<RunnerToken>> {
        let client = self.client(tokens::SELECT).await?;
        tokens::live(&client, &hashes).await
    }

    async fn note_runner_tokens_used(&self, ids: Vec<Uuid>, at: Timestamp) -> Result<()> {
        let client = self.client(tokens::UPDATE).await?;
        tokens::note_used(&client, &ids, at).await
    }

    async fn revoke_runner_token(&self, id: Uuid, at: Timestamp) -> Result<Option<RunnerToken>> {
        let client = self.client(tokens::UPDATE).await?;
        tokens::revoke(&client, id, at).await
    }

    async fn create_dsn(&self, dsn: NewDsn) -> Result<Dsn> {
        let client = self.client(dsns::INSERT).await?;
        dsns::create(&client, &dsn).await
    }

    async fn dsns(&self) -> Result<Vec<Dsn>> {
        let client = self.client(dsns::SELECT).await?;
        dsns::all(&client).await
    }

    async fn revoke_dsn(&self, number: u64, at: Timestamp) -> Result<Option<Dsn>> {
        let client = self.client(dsns::UPDATE).await?;
        dsns::revoke(&client, number, at).await
    }

    async fn dashboards(&self) -> Result<Option<Dashboards>> {
        let client = self.client(dashboards::SELECT).await?;
        dashboards::read(&client).await
    }

    async fn save_dashboards(
        &self,
        version: u64,
        document: String,
        at: Timestamp,
    ) -> Result<Option<u64>> {
        let client = self.client(dashboards::UPDATE).await?;
        dashboards::save(&client, version, &document, at).await
    }

    async fn check(&self) -> Result<()> {
        let operation = "SELECT schema_migrations";
        let client = self.client(operation).await?;
        let sql = "SELECT 1 FROM schema_migrations LIMIT 1";
        query::row(&client, operation, sql, &[]).await?;
        Ok(())
    }

    async fn close(&self) {
        self.pool.close();
    }
}
