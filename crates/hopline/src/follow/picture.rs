//! A build as its follower knows it: what was shown already, so that nothing is shown twice.

use std::collections::HashMap;

use hopline_wire::part::TodoStatus;
use serde::Deserialize;
use serde_json::Value;

use crate::api::live::Update;
use crate::render::progress::Progress;

/// How many characters of a tool's output are shown at most, unless it is a step's.
const TOOL_OUTPUT: usize = 240;

/// What is known of a build.
#[derive(Debug, Default)]
pub(super) struct Picture {
    todos: Vec<Todo>,
    tools: HashMap<String, String>,
    /// How much of each text was shown, in bytes.
    texts: HashMap<(i64, String, String), usize>,
    active: bool,
    seen: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Todo {
    content: String,
    status: TodoStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Snapshot {
    todos: Vec<Todo>,
    tools_by_todo: HashMap<String, Vec<Tool>>,
    text_by_todo: HashMap<String, Vec<Text>>,
    is_active: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Tool {
    todo_index: i64,
    id: String,
    name: String,
    output: Value,
    state: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Text {
    todo_index: i64,
    id: String,
    kind: String,
    /// In an update: what is new.
    delta: String,
    /// In a snapshot: the whole.
    text: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Session {
    is_active: bool,
}

impl Picture {
    /// Whether the build said that it has ended, for good or not.
    pub(super) const fn has_ended(&self) -> bool {
        self.seen && !self.active
    }

    /// Takes note of an update and shows what is new in it. One that is not understood shows nothing.
    pub(super) fn apply(&mut self, update: Update, progress: &mut Progress) {
        match update {
            Update::Snapshot(state) => self.snapshot(read(state), progress),
            Update::Todos(data) => {
                #[derive(Default, Deserialize)]
                struct Todos {
                    todos: Vec<Todo>,
                }
                self.plan(read::<Todos>(data).todos, progress);
            }
            Update::ToolCall(data) => self.tool(read(data), progress),
            Update::Text(data) => {
                let text: Text = read(data);
                progress.text(stream_of(&text), &text.delta);
                let key = (text.todo_index, text.kind, text.id);
                *self.texts.entry(key).or_default() += text.delta.len();
            }
            Update::Session(data) => {
                let session: Session = read(data);
                self.seen = true;
                self.active = session.is_active;
            }
        }
    }

    /// Shows how the build ended: the todo that it ended in, if it failed.
    pub(super) fn finish(&self, completed: bool, progress: &mut Progress) {
        let open = self
            .todos
            .iter()
            .filter(|todo| todo.status == TodoStatus::InProgress);
        for todo in open.filter(|_| !completed) {
            progress.todo_failed(&todo.content);
        }
        progress.finish();
    }

    fn snapshot(&mut self, state: Snapshot, progress: &mut Progress) {
        self.seen = true;
        self.active = state.is_active;
        self.plan(state.todos, progress);
        let mut tools: Vec<_> = state.tools_by_todo.into_iter().collect();
        tools.sort_by_key(|(index, _)| index.parse::<i64>().unwrap_or(-1));
        for (index, tools) in tools {
            let todo_index = index.parse().unwrap_or(-1);
            for tool in tools {
                self.tool(Tool { todo_index, ..tool }, progress);
            }
        }
        let mut texts: Vec<_> = state.text_by_todo.into_iter().collect();
        texts.sort_by_key(|(index, _)| index.parse::<i64>().unwrap_or(-1));
        for (index, texts) in texts {
            for text in texts {
                let stream = stream_of(&text);
                let key = (index.parse().unwrap_or(-1), text.kind, text.id);
                let shown = self.texts.entry(key).or_default();
                if let Some(new) = text.text.get(*shown..).filter(|new| !new.is_empty()) {
                    progress.text(stream, new);
                    *shown = text.text.len();
                }
            }
        }
    }

    fn plan(&mut self, todos: Vec<Todo>, progress: &mut Progress) {
        for (index, todo) in todos.iter().enumerate() {
            let before = self.todos.get(index).filter(|old| old.content == todo.content);
            let before = before.map(|old| old.status);
            match todo.status {
                status if before == Some(status) => {}
                TodoStatus::Pending => {}
                TodoStatus::InProgress => progress.todo_started(&todo.content),
                TodoStatus::Completed => progress.todo_completed(&todo.content),
            }
        }
        let done = todos.iter();
        let done = done.filter(|todo| todo.status == TodoStatus::Completed).count();
        progress.done(done, todos.len());
        self.todos = todos;
    }

    fn tool(&mut self, tool: Tool, progress: &mut Progress) {
        let before = self.tools.insert(tool.id.clone(), tool.state.clone());
        if before.as_deref() == Some(&tool.state) {
            return;
        }
        let todo = usize::try_from(tool.todo_index).ok();
        let todo = todo.and_then(|index| self.todos.get(index));
        // A step is a todo and a call of the tool of its name: the todo's line says that it ran, and its output
        // was shown as text while it did.
        let is_step = todo.is_some_and(|todo| todo.content == tool.name);
        let failed = tool.state == "output-error";
        if !tool.state.starts_with("output") || (is_step && !failed) {
            return;
        }
        if !is_step {
            progress.tool(&tool.name, failed);
        }
        for (stream, text) in output(&tool.output) {
            progress.output(stream, &text, TOOL_OUTPUT);
        }
    }
}

/// The stream that a text came from, where its id tells, else its kind.
fn stream_of(text: &Text) -> &'static str {
    match text.kind.as_str() {
        "reasoning" => "reasoning",
        _ if text.id == "stderr" || text.id.ends_with("-stderr") => "stderr",
        _ => "text",
    }
}

/// What a tool's output has to show: texts, each with the stream that it came from.
fn output(value: &Value) -> Vec<(&'static str, String)> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) => vec![("text", text.clone())],
        Value::Object(members) => {
            let named = [("output", "text"), ("stdout", "stdout"), ("stderr", "stderr")];
            let texts = named.into_iter().filter_map(|(member, stream)| {
                let text = members.get(member)?.as_str()?;
                Some((stream, text.to_owned()))
            });
            let texts: Vec<_> = texts.collect();
            if texts.is_empty() {
                return vec![("text", value.to_string())];
            }
            texts
        }
        other => vec![("text", other.to_string())],
    }
}

fn read<T: serde::de::DeserializeOwned + Default>(value: Value) -> T {
    serde_json::from_value(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(updates: Vec<Update>) -> (Picture, String) {
        let (mut progress, lines) = Progress::to_memory();
        let mut picture = Picture::default();
        for update in updates {
            picture.apply(update, &mut progress);
        }
        progress.finish();
        let text = lines.lock().unwrap().clone();
        (picture, text)
    }

    #[test]
    fn a_snapshot_after_updates_shows_only_what_is_new() {
        let plan = |status: &str| json!({"todos": [{"content": "compile", "activeForm": "", "status": status}]});
        let (picture, text) = shown(vec![
            Update::Todos(plan("in_progress")),
            Update::Text(json!({"todoIndex": 0, "kind": "text", "id": "t", "part": 0, "delta": "one\n"})),
            Update::Snapshot(json!({
                "todos": [{"content": "compile", "status": "in_progress"}],
                "textByTodo": {"0": [{"id": "t", "kind": "text", "text": "one\ntwo\n"}]},
                "isActive": true,
            })),
            Update::Todos(plan("completed")),
        ]);
        assert!(!picture.has_ended());
        let count = |what: &str| text.matches(what).count();
        assert_eq!((count("one"), count("two")), (1, 1), "{text}");
        assert_eq!(count("compile"), 2, "once begun, once done: {text}");
    }

    #[test]
    fn output_is_shown_once_as_text_of_a_step_and_as_answer_of_a_tool() {
        let call = |name: &str| {
            Update::ToolCall(json!({"todoIndex": 0, "id": name, "name": name, "state": "output-available",
                "output": {"stdout": "fine\n", "stderr": "careful\n", "exitCode": 0}}))
        };
        let (_, text) = shown(vec![
            Update::Todos(json!({"todos": [{"content": "test", "status": "in_progress"}]})),
            call("test"),
            call("Bash"),
            call("Bash"),
        ]);
        assert_eq!(text.matches("fine").count(), 1, "{text}");
        assert_eq!(text.matches("careful").count(), 1, "{text}");
    }

    #[test]
    fn an_update_that_is_not_understood_shows_nothing() {
        let (picture, text) = shown(vec![Update::Todos(json!(5)), Update::ToolCall(json!([]))]);
        assert!(!picture.has_ended());
        assert_eq!(text, "");
    }
}
