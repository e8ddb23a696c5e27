//! Live updates out of a commit's changes, in the form that browsers know (`batch-update`).

use hopline_state::group::NoteAppend;
use hopline_state::rows::{Session, Todo, ToolCall};
use hopline_wire::Timestamp;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::feed::{Update, UpdateKind};
use crate::fold::{Build, Changes};
use crate::generation::{TodoView, ToolView, todo_views};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TodosData<'a> {
    todos: Vec<TodoView<'a>>,
    active_todo_index: i32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolData {
    /// Where it belongs, if this says so; an answer alone does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    todo_index: Option<i32>,
    #[serde(flatten)]
    view: ToolView,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TextData<'a> {
    todo_index: i32,
    id: &'a str,
    kind: &'static str,
    part: u32,
    delta: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionData<'a> {
    status: &'static str,
    #[serde(rename = "final")]
    is_final: bool,
    is_active: bool,
    incomplete: bool,
    error_message: Option<&'a str>,
    exit_code: Option<i32>,
    summary: Option<&'a str>,
    end_time: Option<Timestamp>,
}

/// The updates that tell of `changes` in `build`: the plan first, as it is written first.
pub(crate) fn updates(build: &Build, changes: &Changes) -> Vec<Update> {
    let at = build.session.updated_at;
    let todos = changes
        .plan_given
        .then(|| todos(&changes.todos, build.active_index(), at));
    let tools = changes.tool_calls.iter().map(tool);
    let texts = changes.notes.iter().map(|note| text(note, at));
    let session = changes.session_changed.then(|| session(&build.session, at));
    todos
        .into_iter()
        .chain(tools)
        .chain(texts)
        .chain(session)
        .collect()
}

fn todos(todos: &[Todo], active_todo_index: i32, at: Timestamp) -> Update {
    let data = TodosData {
        todos: todo_views(todos),
        active_todo_index,
    };
    update(UpdateKind::TodoUpdate, &data, at)
}

fn tool(call: &ToolCall) -> Update {
    let data = ToolData {
        todo_index: call.input.is_some().then_some(call.todo_index),
        view: ToolView::new(call.clone()),
    };
    update(UpdateKind::ToolCall, &data, call.updated_at)
}

fn text(note: &NoteAppend, at: Timestamp) -> Update {
    let data = TextData {
        todo_index: note.todo_index,
        id: &note.text_id,
        kind: note.kind.as_str(),
        part: note.part,
        delta: &note.content,
    };
    update(UpdateKind::TextDelta, &data, at)
}

fn session(session: &Session, at: Timestamp) -> Update {
    let data = SessionData {
        status: session.status.as_str(),
        is_final: session.is_final,
        is_active: session.status == hopline_state::rows::SessionStatus::Active,
        incomplete: session.incomplete,
        error_message: session.error_message.as_deref(),
        exit_code: session.exit_code,
        summary: session.summary.as_deref(),
        end_time: session.ended_at,
    };
    update(UpdateKind::Session, &data, at)
}

fn update(kind: UpdateKind, data: &impl Serialize, timestamp: Timestamp) -> Update {
    // Texts, numbers and JSON that was parsed before serialise without fail.
    let data = to_raw_value(data).unwrap_or_else(|_| RawValue::NULL.to_owned());
    Update {
        kind,
        data,
        timestamp,
    }
}
