//! The rows as the program holds them. Times are whole milliseconds, as messages carry them.

use hopline_wire::part::{TextKind, TodoStatus};
use hopline_wire::{Timestamp, TraceId};
use uuid::Uuid;

/// Gives an enum its names in rows, both ways.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// The name in rows and messages.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// What has this name, if anything.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

named! {
    /// Where a project stands.
    ProjectStatus {
        /// Nothing was built yet.
        Pending = "pending",
        /// A build runs.
        InProgress = "in_progress",
        /// The last build ended well.
        Completed = "completed",
        /// The last build failed.
        Failed = "failed",
    }
}
named! {
    /// Where a command stands.
    CommandStatus {
        /// Not given to a broker yet.
        Queued = "queued",
        /// Given to a broker, not answered.
        Sent = "sent",
        /// The runner has it.
        Acked = "acked",
        /// Done.
        Ended = "ended",
        /// Failed.
        Failed = "failed",
    }
}
named! {
    /// Where a build stands.
    SessionStatus {
        /// It runs.
        Active = "active",
        /// It ended well.
        Completed = "completed",
        /// It failed.
        Failed = "failed",
    }
}
named! {
    /// Where a tool call stands.
    ToolState {
        /// Called, not answered.
        InputAvailable = "input-available",
        /// Answered.
        OutputAvailable = "output-available",
        /// Failed.
        OutputError = "output-error",
    }
}
named! {
    /// What became of an event.
    Outcome {
        /// Folded into rows.
        Committed = "committed",
        /// Refused for good.
        Rejected = "rejected",
        /// Given up by the runner.
        Expired = "expired",
    }
}
named! {
    /// What a server decides about a build by itself.
    DecisionKind {
        /// Nothing was heard for too long while the runner was gone.
        Silence = "silence",
        /// The runner never answered the command.
        Unreachable = "unreachable",
        /// A later event has taken an earlier decision back.
        Reopened = "reopened",
        /// Cancelled where no runner could say so.
        Cancelled = "cancelled",
    }
}
named! {
    /// Whether a runner is linked to its broker.
    LinkState {
        /// It is.
        Up = "up",
        /// It is not.
        Down = "down",
    }
}

/// A row of `projects`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are the table's columns, described in docs/wire.md"
)]
pub struct Project {
    pub id: Uuid,
    pub name: String,
    pub slug: String,
    pub description: Option<String>,
    pub status: ProjectStatus,
    pub project_type: Option<String>,
    pub path: Option<String>,
    pub run_command: Option<String>,
    pub port: Option<u16>,
    pub dev_server_port: Option<u16>,
    pub dev_server_status: Option<String>,
    pub runner_id: Option<String>,
    pub error_message: Option<String>,
    pub last_activity_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A row of `commands`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The command's identity.
    pub id: String,
    /// Its project; none for a command that the server never gave and whose project is not there.
    pub project_id: Option<Uuid>,
    /// The runner it was given to.
    pub runner_id: Option<String>,
    /// The type; [`UNKNOWN_COMMAND`] for one that the server never gave.
    pub kind: String,
    /// Where it stands.
    pub status: CommandStatus,
    /// The last settled sequence number; 0 before the first event.
    pub last_seq: u64,
    /// The connection that the last unnumbered event came on.
    pub link: Option<String>,
    /// Its number there.
    pub link_seq: Option<u64>,
    /// The trace it belongs to.
    pub trace_id: Option<TraceId>,
    /// When it was given.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// The type of a command that events name and the server never gave.
pub const UNKNOWN_COMMAND: &str = "unknown";

/// A row of `generation_sessions`, without `fold` and `raw_state`, which are read on their own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are the table's columns, described in docs/wire.md"
)]
pub struct Session {
    pub id: Uuid,
    pub project_id: Uuid,
    pub build_id: String,
    pub command_id: String,
    pub operation_type: String,
    pub agent_id: String,
    pub status: SessionStatus,
    pub is_final: bool,
    pub incomplete: bool,
    pub error_message: Option<String>,
    pub exit_code: Option<i32>,
    pub trace_id: Option<TraceId>,
    pub last_seq: u64,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub summary: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What a list shows of a build beside its own row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// The build.
    pub session_id: Uuid,
    /// Its project's name.
    pub project_name: String,
    /// Its project's slug.
    pub project_slug: String,
    /// The runner that it was given to.
    pub runner_id: Option<String>,
    /// How many todos its plan has.
    pub todos: u32,
    /// How many of them are done.
    pub todos_done: u32,
    /// What is being done: the beginning of the first todo that is in progress, as it reads while being done.
    pub active_todo: Option<String>,
}

/// A row of `generation_todos`. Its id follows from the session and the index: see [`crate::row_id`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Todo {
    /// Its place in the plan, from 0.
    pub index: i32,
    /// What is to be done.
    pub content: String,
    /// The same, as it reads while being done.
    pub active_form: String,
    /// Where it stands.
    pub status: TodoStatus,
    /// When the plan first had a todo at this place.
    pub created_at: Timestamp,
    /// When the plan was last given.
    pub updated_at: Timestamp,
}

/// A row of `generation_tool_calls`. Its id follows from the session and the call's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The call, as the agent names it.
    pub tool_call_id: String,
    /// The todo that it belongs to; -1 before any.
    pub todo_index: i32,
    /// The tool; empty while only its output was seen.
    pub name: String,
    /// What it was given, as JSON; none while only its output was seen.
    pub input: Option<String>,
    /// What it answered, as JSON.
    pub output: Option<String>,
    /// Where it stands.
    pub state: ToolState,
    /// The event that first named it.
    pub first_seq: u64,
    /// When it was called; none while only its output was seen.
    pub started_at: Option<Timestamp>,
    /// When it answered.
    pub ended_at: Option<Timestamp>,
    /// When it was first named.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A row of `generation_notes`: one part of a text. Its id follows from the session, the kind, the text's
/// id and the part's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Text or reasoning.
    pub kind: TextKind,
    /// The text, as the agent names it.
    pub text_id: String,
    /// Which part of the text, from 0.
    pub part: u32,
    /// The todo that was active when the part began; -1 before any.
    pub todo_index: i32,
    /// What it says, at most 16 KiB.
    pub content: String,
    /// The event that began the part.
    pub first_seq: u64,
    /// When the part began.
    pub created_at: Timestamp,
}

/// A row of `runner_events` as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Its sequence number.
    pub seq: u64,
    /// Its type.
    pub kind: String,
    /// The text received, without `_sentry`; none where bodies are not kept.
    pub body: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, unless it was committed.
    pub reason: Option<String>,
    /// When the server received it, by the server's clock.
    pub received_at: Timestamp,
}

/// A row of `session_decisions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The last event before it.
    pub after_seq: u64,
    /// What was decided.
    pub kind: DecisionKind,
    /// Why, for people.
    pub reason: String,
    /// When, by the server's clock.
    pub at: Timestamp,
}

/// A row of `runners`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// The runner's id.
    pub id: String,
    /// Where its broker is reached.
    pub broker_url: Option<String>,
    /// Whether it is linked.
    pub link: LinkState,
    /// What it last said about itself, as JSON. Whoever writes the row may add `beganAt`, the time by the server's
    /// clock when the runner's process began.
    pub payload: Option<String>,
    /// When it was last heard of, by the server's clock.
    pub last_seen_at: Timestamp,
}

/// The console's dashboards and saved questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dashboards {
    /// From 1 on; each that is saved has the next.
    pub version: u64,
    /// All of them, as JSON.
    pub document: String,
    /// When they were saved.
    pub updated_at: Timestamp,
}

/// A DSN that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDsn {
    /// The key in it, which no other may have.
    pub public_key: String,
    /// Whatever people name it for.
    pub name: String,
    /// When it is made.
    pub created_at: Timestamp,
}

/// A row of `dsns`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dsn {
    /// What it is called by: from 1 on, never given twice.
    pub number: u64,
    /// The key in it.
    pub public_key: String,
    /// Whatever people named it for.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it is good for nothing.
    pub revoked_at: Option<Timestamp>,
}

/// A row of `runner_tokens`. The token itself is nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerToken {
    /// What people call it by.
    pub id: Uuid,
    /// The token's SHA-256, as 64 lower-case hexadecimal digits.
    pub token_hash: String,
    /// The one runner that may show it.
    pub runner_id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it is good for nothing.
    pub revoked_at: Option<Timestamp>,
    /// When it was last shown, more or less: not every use is noted.
    pub last_used_at: Option<Timestamp>,
}
