//! The GenerationState: a build as browsers read it, made from its rows.
//!
//! `raw_state` holds it: with todos, active index and times while the build runs, and once in full when it has
//! ended. [`of_rows`] makes the full form for the API. Inputs and outputs over 16 KiB are
//! cut and marked. Tool calls and texts share [`MAX_STATE_BYTES`]; beyond that the newest stay, and it is marked
//! how far the older ones are left out. The rows keep everything.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use hopline_state::rows::{Note, Session, SessionStatus, Todo, ToolCall};
use hopline_state::store::WholeSession;
use hopline_state::{StateError, Store};
use hopline_wire::Timestamp;
use hopline_wire::limits::RAW_STATE_FIELD_BYTES;
use hopline_wire::part::{TextKind, TodoStatus};
use hopline_wire::text;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

/// How large a full state may grow, in bytes of its tool calls and texts.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<LeftOut>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<PartsLeftOut>,
}

/// How far the beginning of a build is left out of its state.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LeftOut {
    /// Nothing that this event or one before it began need be there; all that later ones began is.
    up_to: u64,
}

/// How much of a text's beginning is left out.
#[derive(Debug, Serialize)]
struct PartsLeftOut {
    /// How many of its parts.
    parts: u32,
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
            truncated: None,
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

/// The full state of a build, from rows that are all of the same commit.
#[must_use]
pub fn of_rows(whole: &WholeSession) -> String {
    let mut state = GenerationState::new(
        &whole.session,
        &whole.project_name,
        &whole.todos,
        active_index(&whole.todos),
    );
    for call in &whole.tool_calls {
        let by_todo = state.tools_by_todo.entry(call.todo_index).or_default();
        by_todo.push(ToolView::new(call.clone()));
    }
    state.text_by_todo = texts(&whole.notes);
    state.truncated = whole.cut_at.map(|up_to| LeftOut { up_to });
    state.json()
}

/// The full state of a build as its rows stand; none if it is gone.
///
/// # Errors
/// [`StateError`] if the rows cannot be read.
pub(crate) async fn assemble(
    store: &Arc<dyn Store>,
    session_id: Uuid,
) -> Result<Option<String>, StateError> {
    let whole = store.whole_session(session_id, MAX_STATE_BYTES).await?;
    Ok(whole.map(|whole| of_rows(&whole)))
}

fn active_index(todos: &[Todo]) -> i32 {
    let active = todos
        .iter()
        .find(|todo| todo.status == TodoStatus::InProgress);
    active.map_or(-1, |todo| todo.index)
}

/// Texts by the todo that their parts belong to: the parts of one text under the same todo are shown as one.
fn texts(notes: &[Note]) -> BTreeMap<i32, Vec<TextView>> {
    let mut by_todo: BTreeMap<i32, Vec<TextView>> = BTreeMap::new();
    let mut places: HashMap<(TextKind, &str, i32), usize> = HashMap::new();
    let mut begun: HashSet<(TextKind, &str)> = HashSet::new();
    for note in notes {
        let text = (note.kind, note.text_id.as_str());
        // Parts are left out from the first on, so only the first that is there can follow a cut.
        let is_first = begun.insert(text);
        let parts = if is_first { note.part } else { 0 };
        let views = by_todo.entry(note.todo_index).or_default();
        match places.get(&(text.0, text.1, note.todo_index)) {
            Some(place) => views[*place].text.push_str(&note.content),
            None => {
                places.insert((text.0, text.1, note.todo_index), views.len());
                views.push(TextView {
                    id: note.text_id.clone(),
                    kind: note.kind.as_str(),
                    text: note.content.clone(),
                    timestamp: note.created_at,
                    truncated: (parts > 0).then_some(PartsLeftOut { parts }),
                });
            }
        }
    }
    by_todo
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
