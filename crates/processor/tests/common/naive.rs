//! An independent fold, written as plainly as can be from the format's description: one event at a time, whole rows,
//! no batches, no memory of its own. What the processor makes of a build must equal this.

use std::collections::BTreeMap;

use hopline_state::rows::{Decision, DecisionKind};
use hopline_state::{Page, Store};
use serde_json::Value;

use super::Build;

/// The rows of a build, in a form that compares.
#[derive(Debug, Default, PartialEq)]
pub struct Rows {
    pub status: String,
    pub is_final: bool,
    pub error_message: Option<String>,
    pub exit_code: Option<i32>,
    pub summary: Option<String>,
    pub ended_at: Option<u64>,
    pub updated_at: u64,
    pub last_seq: u64,
    pub todos: BTreeMap<i32, Todo>,
    pub tools: BTreeMap<String, Tool>,
    pub notes: BTreeMap<(String, String, u32), Note>,
    pub command: String,
    pub command_ended_at: Option<u64>,
    pub decided: Vec<(u64, DecisionKind)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Todo {
    pub content: String,
    pub active_form: String,
    pub status: String,
    pub created_at: u64,
    pub updated_at: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    pub todo_index: i32,
    pub name: String,
    pub input: Option<Value>,
    pub output: Option<Value>,
    pub state: String,
    pub first_seq: u64,
    pub started_at: Option<u64>,
    pub ended_at: Option<u64>,
    pub created_at: u64,
    pub updated_at: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    pub todo_index: i32,
    pub content: String,
    pub first_seq: u64,
    pub created_at: u64,
}

/// Folds parts and final events, the first being event 1. Times are those of [`super::at`].
pub fn fold(events: &[Value]) -> Rows {
    fold_with(events, &[])
}

/// Folds events, and decisions at their places.
pub fn fold_with(events: &[Value], decisions: &[Decision]) -> Rows {
    let mut rows = Rows {
        status: "active".into(),
        command: "sent".into(),
        ..Rows::default()
    };
    decide(&mut rows, decisions, 0);
    for (place, event) in events.iter().enumerate() {
        let seq = place as u64 + 1;
        let at = super::at(seq).as_millis();
        rows.last_seq = seq;
        rows.updated_at = at;
        reopen(&mut rows, seq - 1);
        match event["type"].as_str().unwrap() {
            "build-stream" => {
                let data = event["data"].as_str().unwrap();
                let json = data.strip_prefix("data: ").unwrap();
                part(&mut rows, &serde_json::from_str(json).unwrap(), seq, at);
            }
            "build-completed" => {
                rows.command_ends("ended", at);
                if !rows.is_final {
                    rows.is_final = true;
                    rows.status = "completed".into();
                    rows.summary = text(&event["payload"]["summary"]);
                    rows.exit_code = number(&event["exitCode"]);
                    rows.ended_at = Some(at);
                }
            }
            "build-failed" => {
                rows.command_ends("failed", at);
                if !rows.is_final {
                    rows.is_final = true;
                    rows.status = "failed".into();
                    rows.error_message = Some(text(&event["error"]).unwrap_or_default());
                    rows.exit_code = number(&event["exitCode"]);
                    rows.ended_at = Some(at);
                }
            }
            "ack" if rows.command_ended_at.is_none() => rows.command = "acked".into(),
            _ => {}
        }
        decide(&mut rows, decisions, seq);
    }
    rows
}

impl Rows {
    fn command_ends(&mut self, status: &str, at: u64) {
        if self.command_ended_at.is_none() {
            self.command = status.into();
            self.command_ended_at = Some(at);
        }
    }
}

/// An event takes a provisional end back.
fn reopen(rows: &mut Rows, after_seq: u64) {
    if rows.status == "active" || rows.is_final {
        return;
    }
    rows.status = "active".into();
    rows.error_message = None;
    rows.ended_at = None;
    rows.command = "acked".into();
    rows.command_ended_at = None;
    rows.decided.push((after_seq, DecisionKind::Reopened));
}

/// The server decides after the event `seq`; what it took back follows from the events.
fn decide(rows: &mut Rows, decisions: &[Decision], seq: u64) {
    let own =
        |decision: &&Decision| decision.after_seq == seq && decision.kind != DecisionKind::Reopened;
    for decision in decisions.iter().filter(own) {
        assert_eq!(
            rows.status, "active",
            "decided about a build that had ended"
        );
        rows.status = "failed".into();
        rows.is_final = decision.kind != DecisionKind::Silence;
        rows.error_message = Some(decision.reason.clone());
        rows.ended_at = Some(decision.at.as_millis());
        rows.command_ends("failed", decision.at.as_millis());
        rows.decided.push((seq, decision.kind));
    }
}

fn part(rows: &mut Rows, part: &Value, seq: u64, at: u64) {
    // `#` and a number is the name of a line that has none.
    let id = || match part["id"].as_str().unwrap() {
        id if id.starts_with('#') => format!("#{id}"),
        id => id.to_owned(),
    };
    match part["type"].as_str().unwrap() {
        "text-delta" => append(rows, "text", id(), &part["delta"], seq, at),
        "reasoning-delta" => append(rows, "reasoning", id(), &part["delta"], seq, at),
        "reasoning" => append(
            rows,
            "reasoning",
            format!("#{seq}"),
            &part["message"],
            seq,
            at,
        ),
        "tool-input-available" => {
            let name = part["toolName"].as_str().unwrap();
            if name == "TodoWrite" {
                plan(rows, &part["input"]["todos"], at);
            }
            let index = part["todoIndex"]
                .as_i64()
                .map_or_else(|| active(rows), |index| index as i32);
            let tool = tool(rows, part, seq, at);
            tool.todo_index = index;
            tool.name = name.into();
            tool.input = Some(part["input"].clone());
            tool.started_at = Some(at);
            tool.updated_at = at;
        }
        "tool-output-available" => {
            let tool = tool(rows, part, seq, at);
            tool.output = Some(part["output"].clone());
            tool.state = "output-available".into();
            tool.ended_at = Some(at);
            tool.updated_at = at;
        }
        "tool-output-error" => {
            let tool = tool(rows, part, seq, at);
            tool.output = Some(part["errorText"].clone());
            tool.state = "output-error".into();
            tool.ended_at = Some(at);
            tool.updated_at = at;
        }
        _ => {}
    }
}

fn plan(rows: &mut Rows, todos: &Value, at: u64) {
    let todos = todos.as_array().unwrap();
    rows.todos
        .retain(|index, _| (*index as usize) < todos.len());
    for (index, todo) in todos.iter().enumerate() {
        let created_at = rows
            .todos
            .get(&(index as i32))
            .map_or(at, |there| there.created_at);
        let row = Todo {
            content: todo["content"].as_str().unwrap().into(),
            active_form: todo["activeForm"].as_str().unwrap_or_default().into(),
            status: todo["status"].as_str().unwrap().into(),
            created_at,
            updated_at: at,
        };
        rows.todos.insert(index as i32, row);
    }
}

fn active(rows: &Rows) -> i32 {
    let mut todos = rows.todos.iter();
    todos
        .find(|(_, todo)| todo.status == "in_progress")
        .map_or(-1, |(index, _)| *index)
}

fn tool<'r>(rows: &'r mut Rows, part: &Value, seq: u64, at: u64) -> &'r mut Tool {
    let index = active(rows);
    let id = part["toolCallId"].as_str().unwrap().to_owned();
    rows.tools.entry(id).or_insert_with(|| Tool {
        todo_index: index,
        name: String::new(),
        input: None,
        output: None,
        state: "input-available".into(),
        first_seq: seq,
        started_at: None,
        ended_at: None,
        created_at: at,
        updated_at: at,
    })
}

fn append(rows: &mut Rows, kind: &str, id: String, delta: &Value, seq: u64, at: u64) {
    let delta = delta.as_str().unwrap().replace('\0', "\u{fffd}");
    let todo_index = active(rows);
    for character in delta.chars() {
        let parts = rows
            .notes
            .range((kind.to_owned(), id.clone(), 0)..=(kind.to_owned(), id.clone(), u32::MAX));
        let last = parts
            .map(|(key, note)| (key.2, note.content.len()))
            .next_back();
        let part = match last {
            None => 0,
            Some((part, bytes)) if bytes + character.len_utf8() > 16 * 1024 => part + 1,
            Some((part, _)) => part,
        };
        let key = (kind.to_owned(), id.clone(), part);
        let note = rows.notes.entry(key).or_insert_with(|| Note {
            todo_index,
            content: String::new(),
            first_seq: seq,
            created_at: at,
        });
        note.content.push(character);
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn number(value: &Value) -> Option<i32> {
    value.as_i64().map(|number| number as i32)
}

/// The rows as the database has them.
pub async fn stored(store: &dyn Store, build: &Build) -> Rows {
    let key = hopline_state::SessionKey::Id(build.session);
    let session = store.session(key).await.unwrap().unwrap();
    let command = store.load_command(&build.command).await.unwrap();
    let command = command.unwrap().command;
    let decisions = store.decisions(build.session).await.unwrap();
    let all = Page {
        rows: 1_000_000,
        bytes: usize::MAX,
    };
    let mut rows = Rows {
        status: session.status.as_str().into(),
        is_final: session.is_final,
        error_message: session.error_message,
        exit_code: session.exit_code,
        summary: session.summary,
        ended_at: session.ended_at.map(|at| at.as_millis()),
        updated_at: session.updated_at.as_millis(),
        last_seq: session.last_seq,
        command: command.status.as_str().into(),
        command_ended_at: command.ended_at.map(|at| at.as_millis()),
        decided: decisions
            .into_iter()
            .map(|row| (row.after_seq, row.kind))
            .collect(),
        ..Rows::default()
    };
    for todo in store.todos(build.session).await.unwrap() {
        let row = Todo {
            content: todo.content,
            active_form: todo.active_form,
            status: todo.status.as_str().into(),
            created_at: todo.created_at.as_millis(),
            updated_at: todo.updated_at.as_millis(),
        };
        rows.todos.insert(todo.index, row);
    }
    let json = |text: Option<String>| text.map(|text| serde_json::from_str(&text).unwrap());
    for call in store.tool_calls(build.session, 0, all).await.unwrap() {
        let row = Tool {
            todo_index: call.todo_index,
            name: call.name,
            input: json(call.input),
            output: json(call.output),
            state: call.state.as_str().into(),
            first_seq: call.first_seq,
            started_at: call.started_at.map(|at| at.as_millis()),
            ended_at: call.ended_at.map(|at| at.as_millis()),
            created_at: call.created_at.as_millis(),
            updated_at: call.updated_at.as_millis(),
        };
        rows.tools.insert(call.tool_call_id, row);
    }
    for note in store.notes(build.session, None, all).await.unwrap() {
        let row = Note {
            todo_index: note.todo_index,
            content: note.content,
            first_seq: note.first_seq,
            created_at: note.created_at.as_millis(),
        };
        rows.notes
            .insert((note.kind.as_str().into(), note.text_id, note.part), row);
    }
    rows
}
