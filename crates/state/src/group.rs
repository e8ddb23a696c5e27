//! A group commit: the folded events of many commands, written at once.
//!
//! Each [`CommandBatch`] says from which `last_seq` it was folded. If the row says otherwise when the group
//! commits, someone else has moved the command on; that batch is left out and the others go through.
//! Statements of one kind run together across all batches, and each kind is timed once.

use std::ops::Range;
use std::sync::Arc;

use hopline_wire::part::TextKind;
use hopline_wire::{Timestamp, TraceId};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::rows::{CommandStatus, Decision, Outcome, ProjectStatus, SessionStatus, Todo, ToolCall};

/// What one commit writes.
#[derive(Debug, Default)]
pub struct Group {
    /// One batch per command.
    pub batches: Vec<CommandBatch>,
    /// Where the store tells what it is at.
    pub progress: Progress,
}

impl Group {
    /// A group of these batches.
    #[must_use]
    pub fn new(batches: Vec<CommandBatch>) -> Self {
        Self {
            batches,
            progress: Progress::default(),
        }
    }
}

/// How far a commit has come: for whoever shows what it waits for, and for whoever tells of its failure. Clones are
/// the same progress.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<Statements>>);

/// The statements of a commit so far.
#[derive(Debug, Clone, Default)]
pub struct Statements {
    /// Those that ran, in their order.
    pub ran: Vec<StatementTiming>,
    /// The one that runs, or that failed; its end is its start, and its rows are not known.
    pub under_way: Option<StatementTiming>,
}

impl Progress {
    /// What it is at.
    #[must_use]
    pub fn statements(&self) -> Statements {
        self.0.lock().clone()
    }

    /// A statement begins. If it fails, nothing more is told.
    pub fn begin(&self, operation: &'static str, table: &'static str) {
        let start = Timestamp::now();
        self.0.lock().under_way = Some(StatementTiming {
            operation,
            table,
            rows: 0,
            start,
            end: start,
        });
    }

    /// The statement that began last has run.
    pub fn end(&self, rows: usize) {
        let statements = &mut *self.0.lock();
        if let Some(ran) = statements.under_way.take() {
            let end = Timestamp::now();
            statements.ran.push(StatementTiming { rows, end, ..ran });
        }
    }
}

/// What the events of one command, taken together, change.
#[derive(Debug)]
pub struct CommandBatch {
    /// The command.
    pub command_id: Arc<str>,
    /// The `last_seq` that the events were folded from.
    pub expected_last_seq: u64,
    /// The last sequence number of the batch; equal to the expected one if it holds decisions alone.
    pub last_seq: u64,
    /// The events' rows in the log, by rising sequence number.
    pub log: Log,
    /// What changes in the command's own row.
    pub command: CommandChange,
    /// What changes in its build, if it has one.
    pub session: Option<SessionBatch>,
    /// What changes in its project.
    pub project: Option<ProjectChange>,
}

/// Rows for `runner_events`. The bodies lie in one text, since there are many and all are written together.
#[derive(Debug, Default)]
pub struct Log {
    /// The rows, by rising sequence number.
    pub rows: Vec<LogRow>,
    bodies: String,
}

/// One row for `runner_events`.
#[derive(Debug)]
pub struct LogRow {
    /// Its sequence number.
    pub seq: u64,
    /// The event's type.
    pub kind: hopline_wire::span::Text,
    /// The project that it names.
    pub project_id: Option<Arc<str>>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, unless it was committed.
    pub reason: Option<String>,
    /// When the server received it.
    pub received_at: Timestamp,
    body: Option<Range<usize>>,
}

impl Log {
    /// Adds a row. Its body is `body` put together, or none if the log does not keep it.
    #[expect(clippy::too_many_arguments, reason = "they are the row's columns")]
    pub fn push(
        &mut self,
        seq: u64,
        kind: hopline_wire::span::Text,
        project_id: Option<Arc<str>>,
        body: Option<[&str; 2]>,
        outcome: Outcome,
        reason: Option<String>,
        received_at: Timestamp,
    ) {
        let body = body.map(|pieces| {
            let start = self.bodies.len();
            pieces.iter().for_each(|piece| self.bodies.push_str(piece));
            start..self.bodies.len()
        });
        self.rows.push(LogRow {
            seq,
            kind,
            project_id,
            outcome,
            reason,
            received_at,
            body,
        });
    }

    /// The body of one of this log's rows.
    #[must_use]
    pub fn body(&self, row: &LogRow) -> Option<&str> {
        self.bodies.get(row.body.clone()?)
    }

    /// How many bytes the bodies have.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bodies.len()
    }
}

/// What changes in a row of `commands`, besides `last_seq`.
#[derive(Debug, Default)]
pub struct CommandChange {
    /// The row to make first, for a command that the server never gave.
    pub create: Option<UnknownCommand>,
    /// Where the command stands now, and when it ended if it has; none if that stays.
    pub status: Option<(CommandStatus, Option<Timestamp>)>,
    /// The connection and the number of the last unnumbered event.
    pub link: Option<(Arc<str>, u64)>,
}

/// The row of a command that events name and the server never gave.
#[derive(Debug)]
pub struct UnknownCommand {
    /// The project that its events name, if it is there.
    pub project_id: Option<Uuid>,
    /// The runner that they come from.
    pub runner_id: Option<String>,
    /// The trace that they belong to.
    pub trace_id: Option<TraceId>,
    /// When the first of them was made.
    pub created_at: Timestamp,
}

/// What changes in a build's rows.
#[derive(Debug)]
pub struct SessionBatch {
    /// The build.
    pub session_id: Uuid,
    /// How many decisions on it the batch was folded from: a decision of another server changes the build without moving
    /// its command's `last_seq`.
    pub expected_decisions: u64,
    /// The plan has shrunk to this many todos; those beyond go, before any todo is written.
    pub todos_removed_from: Option<i32>,
    /// The todos as they now are.
    pub todos: Vec<Todo>,
    /// The tool calls that changed, each once.
    pub tool_calls: Vec<ToolCall>,
    /// What is appended to texts: at most one entry for each part.
    pub notes: Vec<NoteAppend>,
    /// Decisions taken before or between the events.
    pub decisions: Vec<Decision>,
    /// The session's own row as it now is.
    pub row: SessionChange,
}

/// Text to append to one part of a text. Makes the part's row if it is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteAppend {
    /// Text or reasoning.
    pub kind: TextKind,
    /// The text.
    pub text_id: Arc<str>,
    /// The part of it.
    pub part: u32,
    /// The todo that was active when the part began.
    pub todo_index: i32,
    /// What to append.
    pub content: String,
    /// The event that began the part, if it is new.
    pub first_seq: u64,
    /// When the part began, if it is new.
    pub created_at: Timestamp,
}

/// A row of `generation_sessions` as it now is, where events or decisions change it.
#[derive(Debug, Clone)]
pub struct SessionChange {
    /// Where the build stands.
    pub status: SessionStatus,
    /// Whether nothing can change that any more.
    pub is_final: bool,
    /// Whether events of it were lost.
    pub incomplete: bool,
    /// Why it failed.
    pub error_message: Option<String>,
    /// The exit code of its program.
    pub exit_code: Option<i32>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What it says of itself.
    pub summary: Option<String>,
    /// What the fold needs to go on, as JSON.
    pub fold: String,
    /// What happens to `raw_state`.
    pub raw_state: RawState,
    /// When the last event was made.
    pub updated_at: Timestamp,
}

/// What happens to a session's `raw_state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawState {
    /// It stays.
    Keep,
    /// It is this JSON now.
    Set(String),
    /// It no longer holds, and is written in full once the build is quiet.
    Due,
}

/// What changes in a row of `projects`; what is none stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectChange {
    /// The project.
    pub project_id: Uuid,
    /// Where it stands.
    pub status: Option<ProjectStatus>,
    /// Why its last build failed; the inner none forgets it.
    pub error_message: Option<Option<String>>,
    /// What kind of project it is.
    pub project_type: Option<String>,
    /// Its folder on the runner.
    pub path: Option<String>,
    /// How its dev server is started.
    pub run_command: Option<String>,
    /// The port its dev server is expected on.
    pub port: Option<u16>,
    /// The port its dev server listens on; the inner none forgets it.
    pub dev_server_port: Option<Option<u16>>,
    /// How its dev server is.
    pub dev_server_status: Option<String>,
    /// When something last happened in it.
    pub last_activity_at: Option<Timestamp>,
}

impl ProjectChange {
    /// Puts a later change on top of this one.
    pub fn merge(&mut self, later: Self) {
        fn over<T>(there: &mut Option<T>, later: Option<T>) {
            if later.is_some() {
                *there = later;
            }
        }
        over(&mut self.status, later.status);
        over(&mut self.error_message, later.error_message);
        over(&mut self.project_type, later.project_type);
        over(&mut self.path, later.path);
        over(&mut self.run_command, later.run_command);
        over(&mut self.port, later.port);
        over(&mut self.dev_server_port, later.dev_server_port);
        over(&mut self.dev_server_status, later.dev_server_status);
        over(&mut self.last_activity_at, later.last_activity_at);
    }
}

/// A group that was committed.
#[derive(Debug)]
pub struct Committed {
    /// What became of each batch, in the group's order.
    pub outcomes: Vec<BatchOutcome>,
    /// The statements that ran, in their order: of a group, `BEGIN` first, which waits for the database to be free,
    /// and `COMMIT` last.
    pub statements: Vec<StatementTiming>,
}

/// What became of one batch of a committed group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchOutcome {
    /// It is in the database.
    Applied,
    /// The command is not where the batch was folded from; nothing of the batch was written.
    Moved {
        /// Where the command is.
        last_seq: u64,
    },
}

/// One kind of statement in a group commit: all its runs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementTiming {
    /// What the statement does: `BEGIN`, `INSERT`, `UPDATE`, `COMMIT`.
    pub operation: &'static str,
    /// The table; empty for `BEGIN` and `COMMIT`.
    pub table: &'static str,
    /// How many rows it wrote or read.
    pub rows: usize,
    /// When the first run began.
    pub start: Timestamp,
    /// When the last run ended.
    pub end: Timestamp,
}
