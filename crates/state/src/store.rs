//! The trait that every database stands behind.

use std::sync::Arc;

use async_trait::async_trait;
#[cfg(doc)]
use hopline_wire::limits::RAW_STATE_FIELD_BYTES;
use hopline_wire::part::TextKind;
use hopline_wire::{Timestamp, TraceId};
use uuid::Uuid;

use crate::doorbell::Doorbell;
use crate::error::StateError;
use crate::group::{Committed, Group, ProjectChange};
use crate::repair::Repair;
use crate::rows::{
    Command, CommandStatus, Dashboards, Decision, Dsn, Glance, LoggedEvent, NewDsn, Note, Project,
    Runner, RunnerToken, Session, SessionStatus, Todo, ToolCall,
};

type Result<T> = std::result::Result<T, StateError>;

/// The rows of projects, commands and builds.
///
/// A write that returned `Ok` is durable and every later read sees it. One that returned
/// `Err` left nothing behind, with one exception: when the connection to a remote database breaks during
/// `COMMIT`, nobody knows; a group is then repeated, and `last_seq` tells whether it was there.
#[async_trait]
pub trait Store: Send + Sync {
    /// The database's name in spans (`db.system.name`), such as `sqlite`.
    fn system(&self) -> &'static str;

    /// The way to other servers on the same database; none if it is this one's alone.
    fn doorbell(&self) -> Option<Arc<dyn Doorbell>> {
        None
    }

    /// Commits a group of folded events. No statement costs more as a build grows. Tells the group's progress of each
    /// statement as it begins and ends.
    ///
    /// # Errors
    /// [`StateError`]; then nothing of the group is written.
    async fn commit(&self, group: Group) -> Result<Committed>;

    /// A command with all that is needed to go on folding its events; none if there is no such row.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn load_command(&self, command_id: &str) -> Result<Option<LoadedCommand>>;

    /// The last part of a text: its number and its bytes; none if the text has none.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn last_note_part(
        &self,
        session_id: Uuid,
        kind: TextKind,
        text_id: &str,
    ) -> Result<Option<LastPart>>;

    /// Writes the full state of a build that has ended, unless the build has moved on from `last_seq` or
    /// runs again. Says whether it was written, and how the statements ran.
    ///
    /// # Errors
    /// [`StateError`]; then nothing is written.
    async fn write_raw_state(
        &self,
        session_id: Uuid,
        last_seq: u64,
        raw_state: String,
    ) -> Result<(bool, Committed)>;

    /// Commands of ended builds whose full state is still to be written.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn unwritten_builds(&self, limit: u32) -> Result<Vec<String>>;

    /// Running builds that were last heard of before `quiet_since`, and whose runner is not linked, or was
    /// not heard of since `runner_since`; those that were last heard of before their runner began, which it
    /// did before `runner_since`; and those of a runner of one build, if neither it nor they were heard of since
    /// `runner_since`. All are times by the server's clock.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn quiet_builds(
        &self,
        quiet_since: Timestamp,
        runner_since: Timestamp,
    ) -> Result<Vec<QuietBuild>>;

    /// Makes a project.
    ///
    /// # Errors
    /// [`Conflict::SlugTaken`](crate::Conflict::SlugTaken), or another [`StateError`].
    async fn create_project(&self, project: Project) -> Result<()>;

    /// A project.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn project(&self, id: Uuid) -> Result<Option<Project>>;

    /// The project with this slug.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn project_by_slug(&self, slug: &str) -> Result<Option<Project>>;

    /// All projects, the newest first.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn projects(&self) -> Result<Vec<Project>>;

    /// Changes a project; says whether it is there.
    ///
    /// # Errors
    /// [`StateError`]; then nothing is changed.
    async fn update_project(
        &self,
        change: ProjectChange,
        runner_id: Option<String>,
        at: Timestamp,
    ) -> Result<bool>;

    /// Deletes a project with its builds, commands and log; gives the ids of the commands, or none if
    /// there is no such project.
    ///
    /// # Errors
    /// [`Conflict::BuildRunning`](crate::Conflict::BuildRunning) if the project has a running build, or
    /// another [`StateError`]; then nothing is deleted.
    async fn delete_project(&self, id: Uuid) -> Result<Option<Vec<String>>>;

    /// Makes a command that is no build.
    ///
    /// # Errors
    /// [`StateError`]; then nothing is made.
    async fn create_command(&self, command: Command) -> Result<()>;

    /// Makes a command and its build together, and marks the project as in progress.
    ///
    /// # Errors
    /// [`Conflict::BuildRunning`](crate::Conflict::BuildRunning) if the project has a running build, or
    /// another [`StateError`]; then nothing is made.
    async fn create_build(&self, command: Command, session: Session) -> Result<()>;

    /// Moves a command on to `status`; says whether that was a step forward. One that was answered does
    /// not go back.
    ///
    /// # Errors
    /// [`StateError`]; then nothing is changed.
    async fn set_command_status(
        &self,
        command_id: &str,
        status: CommandStatus,
        at: Timestamp,
    ) -> Result<bool>;

    /// Commands that no runner has answered, the oldest first.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn unanswered_commands(&self) -> Result<Vec<Command>>;

    /// A build.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn session(&self, key: SessionKey) -> Result<Option<Session>>;

    /// A build's `raw_state`; none while it is to be written, or if there is no such build.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn raw_state(&self, session_id: Uuid) -> Result<Option<String>>;

    /// Builds, the newest first.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn sessions(&self, filter: SessionFilter) -> Result<Vec<Session>>;

    /// What a list shows of these builds beside their rows, in no order; nothing of those that are not there.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn glances(&self, sessions: Vec<Uuid>) -> Result<Vec<Glance>>;

    /// A build with its rows as they stood after one commit; none if there is no such build. Of tool calls
    /// and parts of texts, taken together by the events that began them, it has the newest that fit into
    /// `bytes`: each counts [`ROW_BYTES`] and its contents, of an input or output at most
    /// [`RAW_STATE_FIELD_BYTES`]. However long those are, about eight times `bytes` are read at most.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn whole_session(&self, session_id: Uuid, bytes: usize) -> Result<Option<WholeSession>>;

    /// A build's todos, in order.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn todos(&self, session_id: Uuid) -> Result<Vec<Todo>>;

    /// A build's tool calls first named after the event `after`, in that order, as many as `page` allows
    /// and at least one if there is one.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn tool_calls(&self, session_id: Uuid, after: u64, page: Page) -> Result<Vec<ToolCall>>;

    /// One of a build's tool calls, by the id that the agent gave it; none if there is no such call.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn tool_call(&self, session_id: Uuid, tool_call_id: &str) -> Result<Option<ToolCall>>;

    /// A build's texts, part by part in the order they began, after the part `after` (its first event and
    /// number), as many as `page` allows and at least one if there is one.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn notes(
        &self,
        session_id: Uuid,
        after: Option<(u64, u32)>,
        page: Page,
    ) -> Result<Vec<Note>>;

    /// A command's logged events after the event `after`, as many as `page` allows and at least one if
    /// there is one.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn events(&self, command_id: &str, after: u64, page: Page) -> Result<Vec<LoggedEvent>>;

    /// What the server decided about a build, in order.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn decisions(&self, session_id: Uuid) -> Result<Vec<Decision>>;

    /// Notes what is known of a runner; what is none stays.
    ///
    /// # Errors
    /// [`StateError`]; then nothing is changed.
    async fn upsert_runner(&self, runner: Runner) -> Result<()>;

    /// Forgets the runners of one build that were last heard of before then and have none that runs. A project whose runner is
    /// one of them has none any more.
    ///
    /// # Errors
    /// [`StateError`]; then nothing is changed.
    async fn forget_runners(&self, seen_before: Timestamp) -> Result<usize>;

    /// A runner.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn runner(&self, id: &str) -> Result<Option<Runner>>;

    /// The runners whose broker has said that they are linked, and was heard of since then, by id.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn linked_runners(&self, seen_since: Timestamp) -> Result<Vec<Runner>>;

    /// All runners heard of and not forgotten, by id.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn runners(&self) -> Result<Vec<Runner>>;

    /// Keeps a runner's token.
    ///
    /// # Errors
    /// [`StateError`]; then nothing is kept.
    async fn create_runner_token(&self, token: RunnerToken) -> Result<()>;

    /// All tokens of runners, revoked ones too, the newest first.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn runner_tokens(&self) -> Result<Vec<RunnerToken>>;

    /// Those tokens of runners that have one of these hashes and are not revoked.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn live_runner_tokens(&self, hashes: Vec<String>) -> Result<Vec<RunnerToken>>;

    /// Notes that these tokens of runners were used. A time before the one noted changes nothing.
    ///
    /// # Errors
    /// [`StateError`]; then nothing is noted.
    async fn note_runner_tokens_used(&self, ids: Vec<Uuid>, at: Timestamp) -> Result<()>;

    /// Revokes a runner's token for ever, from `at` unless it was revoked before; gives it as it now is, or none if
    /// there is no such token.
    ///
    /// # Errors
    /// [`StateError`]; then nothing is changed.
    async fn revoke_runner_token(&self, id: Uuid, at: Timestamp) -> Result<Option<RunnerToken>>;

    /// Keeps a DSN, and gives it its number.
    ///
    /// # Errors
    /// [`StateError`]; then nothing is kept.
    async fn create_dsn(&self, dsn: NewDsn) -> Result<Dsn>;

    /// All DSNs, revoked ones too, by their numbers.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn dsns(&self) -> Result<Vec<Dsn>>;

    /// Revokes a DSN for ever, from `at` unless it was revoked before; gives it as it now is, or none if there is none of
    /// this number.
    ///
    /// # Errors
    /// [`StateError`]; then nothing is changed.
    async fn revoke_dsn(&self, number: u64, at: Timestamp) -> Result<Option<Dsn>>;

    /// The dashboards; none if they were never saved.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn dashboards(&self) -> Result<Option<Dashboards>>;

    /// Saves the dashboards in place of those that are there, and gives their version; none if that is not `version` any
    /// more, which is 0 for none, because somebody else has saved them: then nothing was changed.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be written.
    async fn save_dashboards(
        &self,
        version: u64,
        document: String,
        at: Timestamp,
    ) -> Result<Option<u64>>;

    /// Whether the database can be read just now.
    ///
    /// # Errors
    /// [`StateError`] if it cannot.
    async fn check(&self) -> Result<()>;

    /// Finishes what is under way and closes the database. Later calls fail as unavailable.
    async fn close(&self);

    /// Puts rows of a build right in one transaction, unless its log or the decisions about it are no more what the
    /// repair was made from. Says whether it was written.
    ///
    /// # Errors
    /// [`StateError`]; then nothing is changed.
    async fn repair(&self, repair: Repair) -> Result<bool>;

    /// Commands that have a log, of which nothing was received since `before`, and whose build, if they have one, does
    /// not run and had nothing decided about it since then. All times are by the server's clock.
    ///
    /// # Errors
    /// [`StateError`] if the database cannot be read.
    async fn old_logs(&self, before: Timestamp, limit: u32) -> Result<Vec<String>>;

    /// Removes the first events of a command's log in one transaction, as many as `page` allows and at least one, if it
    /// is one of [`Store::old_logs`]. Says how many. What else is known of the command stays, its `last_seq` above all.
    ///
    /// # Errors
    /// [`StateError`]; then nothing is removed.
    async fn remove_log(&self, command_id: &str, before: Timestamp, page: Page) -> Result<usize>;
}

/// A command as the processor takes it up.
#[derive(Debug, Clone)]
pub struct LoadedCommand {
    /// Its row.
    pub command: Command,
    /// Its project's name.
    pub project_name: Option<String>,
    /// Its build, if it has one, with the state of the fold as JSON (none before the first event).
    pub session: Option<(Session, Option<String>)>,
    /// How many decisions there are on its build.
    pub decisions: u64,
    /// Whether the build has ended and its full state is still to be written.
    pub raw_state_due: bool,
}

/// What a tool call or a part of a text counts in [`Store::whole_session`] beside its contents, in bytes.
pub const ROW_BYTES: usize = 200;

/// A build with its rows, all of the same commit.
#[derive(Debug, Clone)]
pub struct WholeSession {
    /// Its own row; its `last_seq` is the last event that any of the rows shows.
    pub session: Session,
    /// Its project's name.
    pub project_name: String,
    /// Its todos, in order.
    pub todos: Vec<Todo>,
    /// Its tool calls, in the order they were first named.
    pub tool_calls: Vec<ToolCall>,
    /// Its texts, part by part in the order they began.
    pub notes: Vec<Note>,
    /// The newest event that began a tool call or a part of a text that had no room; none if all had.
    pub cut_at: Option<u64>,
}

/// The last part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastPart {
    /// Its number.
    pub part: u32,
    /// How many bytes it has.
    pub bytes: usize,
}

/// A build of which nothing was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietBuild {
    /// The build.
    pub session_id: Uuid,
    /// Its command.
    pub command_id: String,
    /// When it was last heard of, by the server's clock.
    pub heard_at: Timestamp,
    /// When its runner was started anew, if that is what ended it.
    pub runner_began: Option<Timestamp>,
    /// Whether its runner was there for this build alone and will not come back.
    pub runner_is_over: bool,
}

/// The ways to name a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionKey {
    /// By the session's id.
    Id(Uuid),
    /// By the build's id.
    Build(String),
    /// By the id of the command that started it.
    Command(String),
    /// By the trace it belongs to: the newest.
    Trace(TraceId),
}

/// Which builds to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// Only those that stand so.
    pub status: Option<SessionStatus>,
    /// Only those of this project.
    pub project_id: Option<Uuid>,
    /// Only those older than this one: the creation time and id of the last build of the page before.
    pub before: Option<(Timestamp, Uuid)>,
    /// At most how many.
    pub limit: u32,
}

/// How much to read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// At most how many rows.
    pub rows: u32,
    /// At most how many bytes of contents, beyond the first row.
    pub bytes: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            rows: 500,
            bytes: 4 << 20,
        }
    }
}
