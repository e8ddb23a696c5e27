//! What a run of events changes, gathered row by row before it reaches the store.
//!
//! A row that several events of the run touch is gathered into one change with the same outcome: the todos of
//! the last plan, a tool call's input and output, the deltas of a text. How a build's events are cut into
//! runs therefore never shows in its rows.

use std::collections::HashMap;
use std::sync::Arc;

use hopline_state::group::{NoteAppend, ProjectChange};
use hopline_state::rows::{CommandStatus, Decision, Todo, ToolCall, ToolState};
use hopline_state::store::LastPart;
use hopline_wire::Timestamp;
use hopline_wire::limits::NOTE_PART_BYTES;
use hopline_wire::part::{Plan, TextKind};
use hopline_wire::text;
use uuid::Uuid;

/// Row changes of one command, in the making.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The plan has shrunk to this many todos.
    pub(crate) todos_removed_from: Option<i32>,
    /// The todos of the last plan; the index is the place.
    pub(crate) todos: Vec<Todo>,
    /// Whether a plan was given.
    pub(crate) plan_given: bool,
    /// The tool calls, each once.
    pub(crate) tool_calls: Vec<ToolCall>,
    /// What is appended to texts.
    pub(crate) notes: Vec<NoteAppend>,
    /// Decisions taken back.
    pub(crate) decisions: Vec<Decision>,
    /// Changes in the project's row.
    pub(crate) project: Option<ProjectChange>,
    /// Where the command now stands, and when it ended if it has.
    pub(crate) command_status: Option<(CommandStatus, Option<Timestamp>)>,
    /// How often an ended build began to run again.
    pub(crate) reopenings: usize,
    /// Whether the session's own row says something new to people.
    pub(crate) session_changed: bool,
    tool_call_places: HashMap<Box<str>, usize>,
    texts: HashMap<(TextKind, Arc<str>), Cursor>,
}

/// Where a text ends of which nothing was written yet.
const NEW_TEXT: LastPart = LastPart { part: 0, bytes: 0 };

/// Where a text ends.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    end: LastPart,
    /// The entry in `notes` that appends to that part, if there is one yet.
    note: Option<usize>,
}

impl Changes {
    /// Whether rows that a build's full state is made of have changed.
    pub(crate) fn touch_state(&self) -> bool {
        self.plan_given
            || self.session_changed
            || self.reopenings > 0
            || !self.tool_calls.is_empty()
            || !self.notes.is_empty()
    }

    /// Takes a plan that follows one of `count` todos.
    pub(crate) fn plan(&mut self, plan: &Plan, count: i32, at: Timestamp) {
        self.plan_given = true;
        let new_count = i32::try_from(plan.todos.len()).unwrap_or(i32::MAX);
        if new_count < count {
            let from = self.todos_removed_from.unwrap_or(new_count).min(new_count);
            self.todos_removed_from = Some(from);
        }
        self.todos.truncate(plan.todos.len());
        for (place, todo) in plan.todos.iter().enumerate() {
            let created_at = self.todos.get(place).map_or(at, |there| there.created_at);
            let row = Todo {
                index: i32::try_from(place).unwrap_or(i32::MAX),
                content: todo.content.clone(),
                active_form: todo.active_form.clone(),
                status: todo.status,
                created_at,
                updated_at: at,
            };
            match self.todos.get_mut(place) {
                Some(there) => *there = row,
                None => self.todos.push(row),
            }
        }
    }

    /// Takes a tool's input.
    pub(crate) fn tool_input(
        &mut self,
        id: &str,
        name: &str,
        input: String,
        todo_index: i32,
        (seq, at): (u64, Timestamp),
    ) {
        let call = self.tool_call(id, todo_index, seq, at);
        call.todo_index = todo_index;
        name.clone_into(&mut call.name);
        call.input = Some(input);
        call.started_at = Some(at);
        call.updated_at = at;
    }

    /// Takes a tool's answer. `todo_index` holds only if nothing else is known of the call.
    pub(crate) fn tool_output(
        &mut self,
        id: &str,
        output: String,
        state: ToolState,
        todo_index: i32,
        (seq, at): (u64, Timestamp),
    ) {
        let call = self.tool_call(id, todo_index, seq, at);
        call.output = Some(output);
        call.state = state;
        call.ended_at = Some(at);
        call.updated_at = at;
    }

    fn tool_call(&mut self, id: &str, todo_index: i32, seq: u64, at: Timestamp) -> &mut ToolCall {
        let place = match self.tool_call_places.get(id) {
            Some(place) => *place,
            None => {
                let place = self.tool_calls.len();
                self.tool_call_places.insert(id.into(), place);
                self.tool_calls.push(ToolCall {
                    tool_call_id: id.to_owned(),
                    todo_index,
                    name: String::new(),
                    input: None,
                    output: None,
                    state: ToolState::InputAvailable,
                    first_seq: seq,
                    started_at: None,
                    ended_at: None,
                    created_at: at,
                    updated_at: at,
                });
                place
            }
        };
        &mut self.tool_calls[place]
    }

    /// Where a text ends, if this run has appended to it.
    pub(crate) fn knows_text(&self, kind: TextKind, id: &Arc<str>) -> bool {
        self.texts.contains_key(&(kind, Arc::clone(id)))
    }

    /// Appends to a text that ended at `end` before this run (none if it is new).
    pub(crate) fn append(
        &mut self,
        (kind, id): (TextKind, &Arc<str>),
        end: Option<LastPart>,
        delta: &str,
        todo_index: i32,
        (seq, at): (u64, Timestamp),
    ) {
        let key = (kind, Arc::clone(id));
        let cursor = self.texts.entry(key).or_insert(Cursor {
            end: end.unwrap_or(NEW_TEXT),
            note: None,
        });
        cursor.append(&mut self.notes, (kind, id), delta, todo_index, (seq, at));
    }

    /// Takes a line of reasoning that has no id: a text of its own, which ends with its event, so nobody needs to
    /// know where.
    pub(crate) fn line(&mut self, message: &str, todo_index: i32, (seq, at): (u64, Timestamp)) {
        let id = line_key(seq).into();
        let text = (TextKind::Reasoning, &id);
        let mut cursor = Cursor {
            end: NEW_TEXT,
            note: None,
        };
        cursor.append(&mut self.notes, text, message, todo_index, (seq, at));
    }

    /// Where the texts of this run now end.
    pub(crate) fn text_ends(&self) -> impl Iterator<Item = (TextKind, &Arc<str>, LastPart)> + '_ {
        self.texts
            .iter()
            .map(|((kind, id), cursor)| (*kind, id, cursor.end))
    }

    /// Changes the project's row.
    pub(crate) fn project(&mut self, change: ProjectChange) {
        match &mut self.project {
            Some(there) => there.merge(change),
            None => self.project = Some(change),
        }
    }
}

impl Cursor {
    /// Appends to the text, in as many parts as that takes.
    fn append(
        &mut self,
        notes: &mut Vec<NoteAppend>,
        (kind, id): (TextKind, &Arc<str>),
        delta: &str,
        todo_index: i32,
        (seq, at): (u64, Timestamp),
    ) {
        let mut rest = delta;
        while !rest.is_empty() {
            let piece = text::prefix(rest, NOTE_PART_BYTES.saturating_sub(self.end.bytes));
            if piece.is_empty() {
                self.end = LastPart {
                    part: self.end.part + 1,
                    bytes: 0,
                };
                self.note = None;
                continue;
            }
            let note = *self.note.get_or_insert_with(|| {
                notes.push(NoteAppend {
                    kind,
                    text_id: Arc::clone(id),
                    part: self.end.part,
                    todo_index,
                    content: String::new(),
                    first_seq: seq,
                    created_at: at,
                });
                notes.len() - 1
            });
            notes[note].content.push_str(piece);
            self.end.bytes += piece.len();
            rest = &rest[piece.len()..];
        }
    }
}

/// The key under which a row keeps an id that an agent chose: the id itself, unless it is so long that an
/// index should not hold it.
pub(crate) fn row_key(id: &str) -> std::borrow::Cow<'_, str> {
    const LONGEST: usize = 256;
    if id.len() <= LONGEST {
        return id.into();
    }
    let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes());
    format!("{}…{digest}", text::prefix(id, LONGEST - 64)).into()
}

/// The key under which a row keeps a text of this id: its [`row_key`], with another `#` before one that begins
/// with `#`, since [`line_key`] is not an agent's to choose.
pub(crate) fn text_key(id: &str) -> std::borrow::Cow<'_, str> {
    if id.starts_with('#') {
        return row_key(&format!("#{id}")).into_owned().into();
    }
    row_key(id)
}

/// The key under which a row keeps a line of reasoning that came without an id as event `seq`.
fn line_key(seq: u64) -> String {
    format!("#{seq}")
}
