//! What reading rows has in common for all databases: how much fits into an answer, what a runner's status says, and
//! the names in columns that the wire defines.

use hopline_wire::Timestamp;
use hopline_wire::limits::RAW_STATE_FIELD_BYTES;
use hopline_wire::part::{TextKind, TodoStatus};

use crate::rows::{LoggedEvent, Note, ToolCall};
use crate::store::{Page, QuietBuild, ROW_BYTES};

/// How many bytes may be read for each that counts: long inputs and outputs count only in part.
const READ_FACTOR: usize = 8;

/// The todo status of this name.
pub(crate) fn todo_status(text: &str) -> Option<TodoStatus> {
    [
        TodoStatus::Pending,
        TodoStatus::InProgress,
        TodoStatus::Completed,
    ]
    .into_iter()
    .find(|status| status.as_str() == text)
}

/// The kind of text of this name.
pub(crate) fn text_kind(text: &str) -> Option<TextKind> {
    [TextKind::Text, TextKind::Reasoning]
        .into_iter()
        .find(|kind| kind.as_str() == text)
}

/// Selects [`crate::rows::Glance`]s; which builds' goes behind it. Of a todo, which may be long, there is as much as a row has room for.
pub(crate) const GLANCES: &str = "SELECT session.id, project.name, project.slug, command.runner_id,
        (SELECT COUNT(*) FROM generation_todos WHERE session_id = session.id),
        (SELECT COUNT(*) FROM generation_todos WHERE session_id = session.id AND status = 'completed'),
        (SELECT SUBSTR(COALESCE(NULLIF(active_form, ''), content), 1, 200) FROM generation_todos
         WHERE session_id = session.id AND status = 'in_progress' ORDER BY todo_index LIMIT 1)
     FROM generation_sessions AS session
     JOIN projects AS project ON project.id = session.project_id
     LEFT JOIN commands AS command ON command.id = session.command_id
     WHERE session.id ";

/// Saves dashboards where there were none, and gives their version: $1 is the document, $2 the time. Gives nothing where there
/// are some.
pub(crate) const FIRST_DASHBOARDS: &str =
    "INSERT INTO dashboards (id, version, document, updated_at) VALUES (1, 1, $1, $2)
     ON CONFLICT DO NOTHING RETURNING version";

/// The same where there were some, if their version is still $3.
pub(crate) const NEXT_DASHBOARDS: &str =
    "UPDATE dashboards SET version = version + 1, document = $1, updated_at = $2
     WHERE version = $3 RETURNING version";

/// A row whose contents count towards a page.
pub(crate) trait Contents {
    /// How many bytes its contents have.
    fn bytes(&self) -> usize;
}

impl Contents for ToolCall {
    fn bytes(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        length(&self.input) + length(&self.output)
    }
}

impl Contents for Note {
    fn bytes(&self) -> usize {
        self.content.len()
    }
}

impl Contents for LoggedEvent {
    fn bytes(&self) -> usize {
        self.body.as_ref().map_or(0, String::len)
    }
}

/// The rows of a page, taken until they have more bytes than it allows; the first one in any case.
pub(crate) struct Taken<T> {
    page: Page,
    bytes: usize,
    rows: Vec<T>,
}

impl<T: Contents> Taken<T> {
    pub(crate) fn new(page: Page) -> Self {
        Self {
            page,
            bytes: 0,
            rows: Vec::new(),
        }
    }

    /// Takes a row; says whether it had room. After one that had none, no other is offered.
    pub(crate) fn take(&mut self, row: T) -> bool {
        self.bytes += row.bytes();
        let has_room = self.rows.is_empty() || self.bytes <= self.page.bytes;
        if has_room {
            self.rows.push(row);
        }
        has_room
    }

    pub(crate) fn rows(self) -> Vec<T> {
        self.rows
    }
}

/// The newest tool calls and parts of texts that have room, as they are offered from the newest to the oldest.
pub(crate) struct Newest {
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) notes: Vec<Note>,
    pub(crate) cut_at: Option<u64>,
    room: Room,
}

impl Newest {
    /// None so far, of at most so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            tool_calls: Vec::new(),
            notes: Vec::new(),
            cut_at: None,
            room: Room::of(bytes),
        }
    }

    /// Whether a tool call has its turn before this part of a text: both go back in time, and the later one comes first.
    pub(crate) fn comes_first(call: &ToolCall, note: Option<&Note>) -> bool {
        call.first_seq >= note.map_or(0, |note| note.first_seq)
    }

    /// Takes a call; says whether there was room. Without, nothing more is taken.
    pub(crate) fn take_call(&mut self, call: ToolCall) -> bool {
        let contents = [call.input.as_deref(), call.output.as_deref()];
        let has_room = self.room.take(contents);
        if has_room {
            self.tool_calls.push(call);
        } else {
            self.cut_at = Some(call.first_seq);
        }
        has_room
    }

    /// Takes a part of a text; says whether there was room. Without, nothing more is taken.
    pub(crate) fn take_note(&mut self, note: Note) -> bool {
        let has_room = self.room.take([Some(&note.content), None]);
        if has_room {
            self.notes.push(note);
        } else {
            self.cut_at = Some(note.first_seq);
        }
        has_room
    }

    /// What was taken, in the order it began.
    pub(crate) fn in_order(mut self) -> Self {
        self.tool_calls.reverse();
        self.notes.reverse();
        self
    }
}

/// How much may still be taken.
struct Room {
    counted: usize,
    read: usize,
}

impl Room {
    fn of(bytes: usize) -> Self {
        Self {
            counted: bytes,
            read: bytes.saturating_mul(READ_FACTOR),
        }
    }

    /// Makes room for a row with these contents; says whether there was any.
    fn take(&mut self, contents: [Option<&str>; 2]) -> bool {
        let lengths = contents.map(|text| text.map_or(0, str::len));
        let counted = lengths.map(|length| length.min(RAW_STATE_FIELD_BYTES));
        let left = |room: usize, lengths: [usize; 2]| {
            room.checked_sub(ROW_BYTES + lengths.iter().sum::<usize>())
        };
        let left = left(self.counted, counted).zip(left(self.read, lengths));
        let has_room = left.is_some();
        (self.counted, self.read) = left.unwrap_or_default();
        has_room
    }
}

/// A running build and what is known of its runner.
pub(crate) struct Running {
    pub(crate) session_id: uuid::Uuid,
    pub(crate) command_id: String,
    /// When the build was last heard of.
    pub(crate) heard_at: Timestamp,
    /// Whether its runner is not linked, not known, or was not heard of for long.
    pub(crate) runner_is_gone: bool,
    /// Whether its runner is known and was not heard of for long.
    pub(crate) runner_is_away: bool,
    /// What its runner last said of itself.
    pub(crate) payload: Option<String>,
}

impl Running {
    /// The build, if it is to be taken for silent: see [`Store::quiet_builds`](crate::Store::quiet_builds).
    pub(crate) fn if_quiet(
        self,
        quiet_since: Timestamp,
        runner_since: Timestamp,
    ) -> Option<QuietBuild> {
        let status = self.payload.as_deref().map(RunnerSays::read);
        let status = status.unwrap_or_default();
        let heard_at = self.heard_at;
        let began_later = |began: &Timestamp| heard_at < *began && *began < runner_since;
        let build = QuietBuild {
            session_id: self.session_id,
            command_id: self.command_id,
            heard_at,
            runner_began: status.began_at.filter(began_later),
            runner_is_over: status.one_build && self.runner_is_away && heard_at < runner_since,
        };
        let may_come_back = build.runner_began.is_none() && !build.runner_is_over;
        let is_quiet = !may_come_back || (self.runner_is_gone && heard_at < quiet_since);
        is_quiet.then_some(build)
    }
}

/// What a runner's status says of its process, as far as it can be read.
#[derive(Default)]
pub(crate) struct RunnerSays {
    /// When it began.
    pub(crate) began_at: Option<Timestamp>,
    /// Whether it is there for one build.
    pub(crate) one_build: bool,
}

impl RunnerSays {
    pub(crate) fn read(payload: &str) -> Self {
        let status: serde_json::Value = serde_json::from_str(payload).unwrap_or_default();
        Self {
            began_at: status["beganAt"].as_str().and_then(|at| at.parse().ok()),
            one_build: status["oneBuild"] == true,
        }
    }
}
