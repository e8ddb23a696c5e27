//! A build as its follower knows it: what was shown already, so that nothing is shown twice.

use std::collections::{BTreeMap, HashMap};

use hopline_wire::Timestamp;
use hopline_wire::part::{PLAN_TOOL, TodoStatus};
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
    tools: HashMap<String, KnownTool>,
    /// How much of each text was shown, in bytes.
    texts: HashMap<(i64, String, String), usize>,
    active: bool,
    seen: bool,
}

/// What is known of a tool call. An update may tell only what is new of it.
#[derive(Debug, Default)]
struct KnownTool {
    name: String,
    todo_index: i64,
    state: String,
    start_time: Option<Timestamp>,
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
    start_time: Option<Timestamp>,
    end_time: Option<Timestamp>,
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

    /// Takes note of updates that came together, and shows what is new in them. One that is not understood
    /// shows nothing.
    pub(super) fn apply(&mut self, updates: Vec<Update>, progress: &mut Progress) {
        let mut todos = self.todos.clone();
        let mut contents = Contents::default();
        for update in updates {
            match update {
                Update::Snapshot(state) => {
                    let state: Snapshot = read(state);
                    self.seen = true;
                    self.active = state.is_active;
                    todos.clone_from(&state.todos);
                    self.add_contents_of(state, &mut contents);
                }
                Update::Todos(data) => {
                    #[derive(Default, Deserialize)]
                    struct Plan {
                        todos: Vec<Todo>,
                    }
                    todos = read::<Plan>(data).todos;
                }
                Update::ToolCall(data) => {
                    let tool: Tool = read(data);
                    contents.add(tool.todo_index, Content::Tool(tool));
                }
                Update::Text(data) => {
                    let text: Text = read(data);
                    let stream = stream_of(&text);
                    let content = Content::Text(stream, text.id.clone(), text.delta.clone());
                    contents.add(text.todo_index, content);
                    let key = (text.todo_index, text.kind, text.id);
                    *self.texts.entry(key).or_default() += text.delta.len();
                }
                Update::NotTold(events) => progress.note(&format!(
                    "{events} events are not shown: the server does not have them any more"
                )),
                Update::Session(data) => {
                    let session: Session = read(data);
                    self.seen = true;
                    self.active = session.is_active;
                }
            }
        }
        self.show(todos, contents, progress);
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

    /// Adds what of a whole state was not shown yet.
    fn add_contents_of(&mut self, state: Snapshot, contents: &mut Contents) {
        for (index, tools) in state.tools_by_todo {
            let todo_index = index.parse().unwrap_or(-1);
            for tool in tools {
                contents.add(todo_index, Content::Tool(Tool { todo_index, ..tool }));
            }
        }
        for (index, texts) in state.text_by_todo {
            let todo_index = index.parse().unwrap_or(-1);
            for text in texts {
                let stream = stream_of(&text);
                let key = (todo_index, text.kind, text.id.clone());
                let shown = self.texts.entry(key).or_default();
                if let Some(new) = text.text.get(*shown..) {
                    contents.add(todo_index, Content::Text(stream, text.id, new.to_owned()));
                    *shown = text.text.len();
                }
            }
        }
    }

    /// Shows what is new, todo by todo: begun, its tools and texts, done. The updates of one flush say first
    /// how the plan stands after all of them.
    fn show(&mut self, todos: Vec<Todo>, mut contents: Contents, progress: &mut Progress) {
        let before = std::mem::replace(&mut self.todos, todos.clone());
        for content in contents.take(-1) {
            self.content(content, progress);
        }
        for (index, todo) in (0..).zip(&todos) {
            let old = usize::try_from(index)
                .ok()
                .and_then(|index| before.get(index));
            let old = old.filter(|old| old.content == todo.content);
            let old = old.map_or(TodoStatus::Pending, |old| old.status);
            if old == TodoStatus::Pending && todo.status != TodoStatus::Pending {
                progress.todo_started(&todo.content);
            }
            for content in contents.take(index) {
                self.content(content, progress);
            }
            if old != TodoStatus::Completed && todo.status == TodoStatus::Completed {
                progress.todo_completed(&todo.content);
            }
        }
        for content in contents.rest() {
            self.content(content, progress);
        }
        self.count(progress);
    }

    fn content(&mut self, content: Content, progress: &mut Progress) {
        match content {
            Content::Text(_, _, new) if new.is_empty() => {}
            Content::Text(stream, id, new) => progress.text(stream, &id, &new),
            Content::Tool(tool) => self.tool(tool, progress),
        }
    }

    fn count(&self, progress: &mut Progress) {
        let done = self.todos.iter();
        let done = done.filter(|todo| todo.status == TodoStatus::Completed);
        progress.done(done.count(), self.todos.len());
    }

    fn tool(&mut self, tool: Tool, progress: &mut Progress) {
        let known = self.tools.entry(tool.id).or_default();
        if known.state == tool.state {
            return;
        }
        if !tool.name.is_empty() {
            known.name = tool.name;
            known.todo_index = tool.todo_index;
        }
        known.state = tool.state;
        known.start_time = tool.start_time.or(known.start_time);
        let tool_name = &known.name;
        let todo = usize::try_from(known.todo_index).ok();
        let todo = todo.and_then(|index| self.todos.get(index));
        // A step is a todo and a call of the tool of its name: the todo's line says that it ran, and its output
        // was shown as text while it did. The plan's own tool says nothing that the plan does not.
        let is_step = todo.is_some_and(|todo| todo.content == *tool_name);
        if let (true, Some(start), Some(end)) = (is_step, known.start_time, tool.end_time) {
            progress.todo_took(tool_name, end.nanos_since(start));
        }
        let failed = known.state == "output-error";
        let is_plan = tool_name == PLAN_TOOL;
        if !known.state.starts_with("output") || is_plan || (is_step && !failed) {
            return;
        }
        if !is_step {
            progress.tool(tool_name, failed);
        }
        for (stream, text) in output(&tool.output) {
            progress.output(stream, &text, TOOL_OUTPUT);
        }
    }
}

/// What is new under each todo, in the order in which it came.
#[derive(Default)]
struct Contents(BTreeMap<i64, Vec<Content>>);

enum Content {
    Tool(Tool),
    /// From this stream, of the text of this id.
    Text(&'static str, String, String),
}

impl Contents {
    fn add(&mut self, todo_index: i64, content: Content) {
        self.0.entry(todo_index).or_default().push(content);
    }

    fn take(&mut self, todo_index: i64) -> Vec<Content> {
        self.0.remove(&todo_index).unwrap_or_default()
    }

    fn rest(self) -> impl Iterator<Item = Content> {
        self.0.into_values().flatten()
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
            let named = [
                ("output", "text"),
                ("stdout", "stdout"),
                ("stderr", "stderr"),
            ];
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

    fn shown(updates: Vec<Vec<Update>>) -> (Picture, String) {
        let (mut progress, lines) = Progress::to_memory();
        let mut picture = Picture::default();
        for together in updates {
            picture.apply(together, &mut progress);
        }
        progress.finish();
        let text = lines.lock().unwrap().clone();
        (picture, text)
    }

    #[test]
    fn a_snapshot_after_updates_shows_only_what_is_new() {
        let plan = |status: &str| json!({"todos": [{"content": "compile", "activeForm": "", "status": status}]});
        let (picture, text) = shown(vec![
            vec![Update::Todos(plan("in_progress"))],
            vec![Update::Text(
                json!({"todoIndex": 0, "kind": "text", "id": "t", "part": 0, "delta": "one\n"}),
            )],
            vec![Update::Snapshot(json!({
                "todos": [{"content": "compile", "status": "in_progress"}],
                "textByTodo": {"0": [{"id": "t", "kind": "text", "text": "one\ntwo\n"}]},
                "isActive": true,
            }))],
            vec![Update::Todos(plan("completed"))],
        ]);
        assert!(!picture.has_ended());
        let count = |what: &str| text.matches(what).count();
        assert_eq!((count("one"), count("two")), (1, 1), "{text}");
        assert_eq!(count("compile"), 2, "once begun, once done: {text}");
    }

    #[test]
    fn a_state_does_not_hide_what_came_together_with_it() {
        let text = json!({"todoIndex": -1, "kind": "text", "id": "t", "delta": "from the log\n"});
        let (picture, text) = shown(vec![vec![
            Update::Text(text),
            Update::Snapshot(json!({"todos": [], "isActive": false})),
        ]]);
        assert!(picture.has_ended());
        assert_eq!(text.matches("from the log").count(), 1, "{text}");
    }

    #[test]
    fn what_comes_together_is_shown_under_its_todo() {
        let text = |index: i64, delta: &str| {
            Update::Text(
                json!({"todoIndex": index, "kind": "text", "id": "t", "part": 0, "delta": delta}),
            )
        };
        let (_, text) = shown(vec![vec![
            Update::Todos(json!({"todos": [
                {"content": "first", "status": "completed"},
                {"content": "second", "status": "in_progress"},
            ]})),
            text(0, "one\n"),
            text(1, "two\n"),
        ]]);
        let order = ["▶ first", "one", "✔ first", "▶ second", "two"];
        assert!(
            order.map(|what| text.find(what).unwrap()).is_sorted(),
            "{text}"
        );
    }

    #[test]
    fn output_is_shown_once_as_text_of_a_step_and_as_answer_of_a_tool() {
        let call = |name: &str| {
            vec![Update::ToolCall(
                json!({"todoIndex": 0, "id": name, "name": name, "state": "output-available",
                "output": {"stdout": "fine\n", "stderr": "careful\n", "exitCode": 0}}),
            )]
        };
        let (_, text) = shown(vec![
            vec![Update::Todos(
                json!({"todos": [{"content": "test", "status": "in_progress"}]}),
            )],
            call("test"),
            call("Bash"),
            call("Bash"),
            vec![
                Update::ToolCall(
                    json!({"todoIndex": 0, "id": "t2", "name": "test", "state": "input-available"}),
                ),
                Update::ToolCall(
                    json!({"todoIndex": 1, "id": "t2", "name": "", "state": "output-available",
                    "output": {"stdout": "fine\n"}}),
                ),
            ],
        ]);
        assert_eq!(text.matches("fine").count(), 1, "{text}");
        assert_eq!(text.matches("careful").count(), 1, "{text}");
    }

    #[test]
    fn a_step_took_as_long_as_its_call_says() {
        let call = |state: &str, times: Value| {
            let mut call = json!({"todoIndex": 0, "id": "c", "name": "test", "state": state});
            let members = call.as_object_mut().unwrap();
            members.extend(times.as_object().unwrap().clone());
            vec![Update::ToolCall(call)]
        };
        let plan = |status: &str| {
            let todos = json!({"todos": [{"content": "test", "status": status}]});
            vec![Update::Todos(todos)]
        };
        let (_, text) = shown(vec![
            plan("in_progress"),
            call(
                "input-available",
                json!({"startTime": "2026-01-02T03:04:05.000Z"}),
            ),
            call(
                "output-available",
                json!({"endTime": "2026-01-02T03:04:07.500Z"}),
            ),
            plan("completed"),
        ]);
        assert!(text.contains("✔ test 2.50 s"), "{text}");
    }

    #[test]
    fn an_update_that_is_not_understood_shows_nothing() {
        let (picture, text) = shown(vec![vec![
            Update::Todos(json!(5)),
            Update::ToolCall(json!([])),
        ]]);
        assert!(!picture.has_ended());
        assert_eq!(text, "");
    }
}
