//! The GenerationState: a build as browsers read it, made from its rows.
//!
//! `raw_state` holds it: with todos, active index and times while the build runs, and once in full when it has
//! ended. [`of_rows`] makes the full form for the API. Inputs and outputs over 16 KiB are
//! cut and marked; beyond [`MAX_STATE_BYTES`] older texts and tools stay and later ones are left out, marked
//! too. The rows keep everything.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hopline_state::rows::{Note, Session, SessionStatus, Todo, ToolCall};
use hopline_state::store::WholeSession;
use hopline_state::{Page, StateError, Store};
use hopline_wire::Timestamp;
use hopline_wire::limits::RAW_STATE_FIELD_BYTES;
use hopline_wire::part::{TextKind, TodoStatus};
use hopline_wire::text;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

/// How large a full state may grow, in bytes.
pub const MAX_STATE_BYTES: usize = 8 << 20;

/// A build's state, ready to be written as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationState<'a> {
    id: Uuid,
    project_id: Uuid,
    project_name: &'a str,
    operation_type: &'a str,
    agent_id: &'a str,
    todos: Vec<TodoView<'a>>,
    tools_by_todo: BTreeMap<i32, Vec<ToolView>>,
    text_by_todo: BTreeMap<i32, Vec<TextView>>,
    active_todo_index: i32,
    is_active: bool,
    start_time: Timestamp,
    end_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TodoView<'a> {
    content: &'a str,
    active_form: &'a str,
    status: TodoStatus,
}

/// A tool call as browsers read it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToolView {
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Box<RawValue>>,
    state: &'static str,
    start_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    truncated: BTreeMap<&'static str, Cut>,
}

/// What was cut from a field.
#[derive(Debug, Serialize)]
struct Cut {
    /// How many bytes of JSON the whole has.
    bytes: usize,
}

#[derive(Debug, Serialize)]
struct TextView {
    id: String,
    kind: &'static str,
    text: String,
    timestamp: Timestamp,
}

pub(crate) fn todo_views(todos: &[Todo]) -> Vec<TodoView<'_>> {
    let view = todos.iter().map(|todo| TodoView {
        content: &todo.content,
        active_form: &todo.active_form,
        status: todo.status,
    });
    view.collect()
}

impl<'a> GenerationState<'a> {
    fn new(
        session: &'a Session,
        project_name: &'a str,
        todos: &'a [Todo],
        active_todo_index: i32,
    ) -> Self {
        Self {
            id: session.id,
            project_id: session.project_id,
            project_name,
            operation_type: &session.operation_type,
            agent_id: &session.agent_id,
            todos: todo_views(todos),
            tools_by_todo: BTreeMap::new(),
            text_by_todo: BTreeMap::new(),
            active_todo_index,
            is_active: session.status == SessionStatus::Active,
            start_time: session.started_at,
            end_time: session.ended_at,
            truncated: false,
        }
    }

    fn json(&self) -> String {
        // Texts, numbers and JSON that was parsed before serialise without fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The state of a running build, without tools and texts, as `raw_state` keeps it.
pub(crate) fn running(
    session: &Session,
    project_name: &str,
    todos: &[Todo],
    active_index: i32,
) -> String {
    GenerationState::new(session, project_name, todos, active_index).json()
}

/// The full state of a build, from rows that are all of the same commit. Where only a page of tool calls or
/// texts was read, the rest is left out.
#[must_use]
pub fn of_rows(whole: &WholeSession) -> String {
    let mut state = GenerationState::new(
        &whole.session,
        &whole.project_name,
        &whole.todos,
        active_index(&whole.todos),
    );
    let mut filling = Filling::new(&mut state);
    let complete = whole
        .tool_calls
        .iter()
        .all(|call| filling.add_tool(call.clone()))
        && whole
            .notes
            .iter()
            .all(|note| filling.add_text(note.clone()));
    state.truncated = !complete;
    state.json()
}

/// The full state of a build, read page by page. The caller sees to it that its rows stay as they are.
///
/// # Errors
/// [`StateError`] if the rows cannot be read.
pub(crate) async fn assemble(
    store: &Arc<dyn Store>,
    session: &Session,
    project_name: &str,
) -> Result<String, StateError> {
    let todos = store.todos(session.id).await?;
    let mut state = GenerationState::new(session, project_name, &todos, active_index(&todos));
    let mut filling = Filling::new(&mut state);
    let complete = fill(store, session.id, &mut filling).await?;
    state.truncated = !complete;
    Ok(state.json())
}

/// Fills in tool calls and texts; says whether all had room.
async fn fill(
    store: &Arc<dyn Store>,
    session_id: Uuid,
    filling: &mut Filling<'_, '_>,
) -> Result<bool, StateError> {
    let mut after = 0;
    loop {
        let calls = store.tool_calls(session_id, after, Page::default()).await?;
        let Some(last) = calls.last() else { break };
        after = last.first_seq;
        if !calls.into_iter().all(|call| filling.add_tool(call)) {
            return Ok(false);
        }
    }
    let mut after = None;
    loop {
        let notes = store.notes(session_id, after, Page::default()).await?;
        let Some(last) = notes.last() else { break };
        after = Some((last.first_seq, last.part));
        if !notes.into_iter().all(|note| filling.add_text(note)) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn active_index(todos: &[Todo]) -> i32 {
    let active = todos
        .iter()
        .find(|todo| todo.status == TodoStatus::InProgress);
    active.map_or(-1, |todo| todo.index)
}

/// A state that takes tool calls and texts as long as there is room.
struct Filling<'s, 'a> {
    state: &'s mut GenerationState<'a>,
    room: usize,
    /// Where each text stands: its parts under the same todo are shown as one.
    texts: HashMap<(TextKind, String, i32), usize>,
}

impl<'s, 'a> Filling<'s, 'a> {
    fn new(state: &'s mut GenerationState<'a>) -> Self {
        Self {
            state,
            room: MAX_STATE_BYTES,
            texts: HashMap::new(),
        }
    }

    fn take_room(&mut self, bytes: usize) -> bool {
        let left = self.room.checked_sub(bytes);
        self.room = left.unwrap_or(0);
        left.is_some()
    }

    /// Adds a tool call; says whether it had room.
    fn add_tool(&mut self, call: ToolCall) -> bool {
        let todo_index = call.todo_index;
        let view = ToolView::new(call);
        let size = |json: &Option<Box<RawValue>>| json.as_ref().map_or(0, |raw| raw.get().len());
        let has_room = self.take_room(200 + size(&view.input) + size(&view.output));
        if has_room {
            let by_todo = &mut self.state.tools_by_todo;
            by_todo.entry(todo_index).or_default().push(view);
        }
        has_room
    }

    /// Adds a part of a text; says whether it had room.
    fn add_text(&mut self, note: Note) -> bool {
        if !self.take_room(100 + note.content.len()) {
            return false;
        }
        let views = self.state.text_by_todo.entry(note.todo_index).or_default();
        let key = (note.kind, note.text_id, note.todo_index);
        if let Some(place) = self.texts.get(&key) {
            views[*place].text.push_str(&note.content);
            return true;
        }
        views.push(TextView {
            id: key.1.clone(),
            kind: note.kind.as_str(),
            text: note.content,
            timestamp: note.created_at,
        });
        self.texts.insert(key, views.len() - 1);
        true
    }
}

impl ToolView {
    /// A call as browsers read it, its input and output cut if they are long.
    pub(crate) fn new(call: ToolCall) -> Self {
        let mut truncated = BTreeMap::new();
        let mut field = |name: &'static str, json: Option<String>| {
            let json = json?;
            let bytes = json.len();
            let (json, was_cut) = cut(json);
            if was_cut {
                truncated.insert(name, Cut { bytes });
            }
            RawValue::from_string(json).ok()
        };
        let input = field("input", call.input);
        let output = field("output", call.output);
        Self {
            id: call.tool_call_id,
            name: call.name,
            input,
            output,
            state: call.state.as_str(),
            start_time: call.started_at,
            end_time: call.ended_at,
            truncated,
        }
    }
}

/// Cuts JSON that is too long: what is left is a text that holds its beginning.
fn cut(json: String) -> (String, bool) {
    if json.len() <= RAW_STATE_FIELD_BYTES {
        return (json, false);
    }
    let whole: Option<String> = serde_json::from_str(&json).ok();
    let beginning = text::prefix(whole.as_deref().unwrap_or(&json), RAW_STATE_FIELD_BYTES);
    (serde_json::Value::from(beginning).to_string(), true)
}
