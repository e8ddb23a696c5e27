//! A build's rows put right: what folding its log again gives, in place of what is there.

use hopline_wire::Timestamp;
use hopline_wire::part::TextKind;
use uuid::Uuid;

use crate::group::SessionChange;
use crate::rows::{CommandStatus, Note, Todo, ToolCall};

/// The rows of one build that are to be written anew or removed; rows that are not named stay.
///
/// Rows follow from the log and the decisions, so it holds as long as those are what it was made from.
#[derive(Debug, Clone)]
pub struct Repair {
    /// The build.
    pub session_id: Uuid,
    /// Its command.
    pub command_id: String,
    /// The last event of its log.
    pub log_end: u64,
    /// How many decisions there are about it.
    pub decisions: usize,
    /// The session's own row; none if it is right.
    pub session: Option<SessionRepair>,
    /// The command's row; none if it is right.
    pub command: Option<CommandRepair>,
    /// Todos as they should be.
    pub todos: Vec<Todo>,
    /// The places of todos that should not be there.
    pub no_todos: Vec<i32>,
    /// Tool calls as they should be.
    pub tool_calls: Vec<ToolCall>,
    /// Tool calls that should not be there.
    pub no_tool_calls: Vec<String>,
    /// Parts of texts as they should be.
    pub notes: Vec<Note>,
    /// Parts of texts that should not be there.
    pub no_notes: Vec<(TextKind, String, u32)>,
}

/// The columns of a session's row that follow from its log.
#[derive(Debug, Clone)]
pub struct SessionRepair {
    /// The last event.
    pub last_seq: u64,
    /// The rest.
    pub row: SessionChange,
}

/// The columns of a command's row that follow from its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandRepair {
    /// The last event.
    pub last_seq: u64,
    /// Where it stands, and when it ended if it has; none if that stays, since no event said anything of it.
    pub status: Option<(CommandStatus, Option<Timestamp>)>,
}

impl Repair {
    /// One that changes nothing of a build whose log ends so, with so many decisions.
    #[must_use]
    pub const fn nothing(
        session_id: Uuid,
        command_id: String,
        log_end: u64,
        decisions: usize,
    ) -> Self {
        Self {
            session_id,
            command_id,
            log_end,
            decisions,
            session: None,
            command: None,
            todos: Vec::new(),
            no_todos: Vec::new(),
            tool_calls: Vec::new(),
            no_tool_calls: Vec::new(),
            notes: Vec::new(),
            no_notes: Vec::new(),
        }
    }
}
