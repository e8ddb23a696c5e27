//! The rows that a build's log comes to, told by rules of this test's own: read event by event, nothing grouped,
//! nothing remembered but the rows. Also whether the log is what the agent has said, all of it or its beginning.

use std::collections::BTreeMap;

use hopline_state::rows::{LoggedEvent, Outcome};
use hopline_wire::Timestamp;
use serde_json::Value;

use crate::plan::{HALF, HALF_ESCAPED, Said, stored};

/// A tool call's row.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Call {
    pub(crate) todo: i32,
    pub(crate) name: String,
    pub(crate) input: Option<Value>,
    pub(crate) output: Option<Value>,
    pub(crate) state: &'static str,
    pub(crate) first_seq: u64,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
}

/// A text's rows, joined.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Text {
    /// Of its first part.
    pub(crate) todo: i32,
    pub(crate) first_seq: u64,
    pub(crate) began_at: Timestamp,
    pub(crate) content: String,
}

/// A todo's row: content, active form, status, when it was first and last given.
pub(crate) type Todo = (String, String, String, Timestamp, Timestamp);

#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) todos: Vec<Todo>,
    pub(crate) calls: BTreeMap<String, Call>,
    /// By whether it is reasoning, and the text's id.
    pub(crate) texts: BTreeMap<(bool, String), Text>,
    /// How many events were refused.
    pub(crate) refused: u64,
    /// The event that ended the build: its type, error and exit code.
    pub(crate) end: Option<(String, Option<String>, Option<i64>)>,
    /// How much of the plan the log has: things said, and the bytes of the next one.
    pub(crate) said: (usize, usize),
}

/// Folds a log, and follows the plan along it. The error says where they part.
pub(crate) fn fold(log: &[LoggedEvent], plan: &[Said]) -> Result<Rows, String> {
    let mut rows = Rows::default();
    let mut reader = Reader {
        plan,
        at: 0,
        taken: 0,
    };
    let mut active = -1;
    for (event, number) in log.iter().zip(1..) {
        let seq = event.seq;
        let wrong =
            |what: &str| format!("event {seq}, {}: {what}: {:.300?}", event.kind, event.body);
        if seq != number {
            return Err(wrong("it is not the next one"));
        }
        let body = event.body.as_deref().ok_or_else(|| wrong("no body"))?;
        let body: Value = serde_json::from_str(body).map_err(|error| wrong(&error.to_string()))?;
        let at: Timestamp = serde_json::from_value(body["timestamp"].clone())
            .map_err(|error| wrong(&error.to_string()))?;
        if rows.end.is_some() {
            return Err(wrong("it comes after the build's end"));
        }
        let refused = event.outcome == Outcome::Rejected;
        rows.refused += u64::from(refused);
        match event.kind.as_str() {
            "ack" | "project-metadata" => {}
            "build-completed" | "build-failed" => {
                let error = body["error"].as_str().map(stored);
                rows.end = Some((event.kind.clone(), error, body["exitCode"].as_i64()));
            }
            "build-stream" => {
                let data = body["data"].as_str().ok_or_else(|| wrong("no data"))?;
                let json = data
                    .trim()
                    .strip_prefix("data:")
                    .unwrap_or(data)
                    .replace(HALF_ESCAPED, "\u{e000}");
                let part: Value =
                    serde_json::from_str(&json).map_err(|error| wrong(&error.to_string()))?;
                if is_frame(&part) {
                    continue;
                }
                let said = reader.next(&part).map_err(|what| wrong(&what))?;
                if refused != matches!(said, Said::Bad) {
                    return Err(wrong(&format!("{:?} {:?}", event.outcome, event.reason)));
                }
                rows.take(&said, seq, at, &mut active);
            }
            _ => return Err(wrong("nobody made one")),
        }
    }
    rows.said = (reader.at, reader.taken);
    Ok(rows)
}

/// The runner's own marks around the texts of lines.
fn is_frame(part: &Value) -> bool {
    matches!(part["type"].as_str(), Some("text-start" | "text-end"))
}

impl Rows {
    fn take(&mut self, said: &Said, seq: u64, at: Timestamp, active: &mut i32) {
        match said {
            Said::Delta {
                reasoning,
                id,
                text,
            } => self.append(*reasoning, id, text, *active, seq, at),
            Said::Line { text } => self.append(false, "stdout", text, *active, seq, at),
            Said::Reasoning { message } => {
                self.append(true, &format!("#{seq}"), message, *active, seq, at);
            }
            Said::Plan { call, todos } => {
                let before = std::mem::take(&mut self.todos);
                let todo = |(place, [content, form, status]): (usize, &[String; 3])| {
                    let first = before.get(place).map_or(at, |there| there.3);
                    (stored(content), stored(form), status.clone(), first, at)
                };
                self.todos = todos.iter().enumerate().map(todo).collect();
                let running = todos.iter().position(|todo| todo[2] == "in_progress");
                *active = running.map_or(-1, |place| place as i32);
                let names = ["content", "activeForm", "status"];
                let todos = todos.iter().map(|todo| {
                    let members = names.into_iter().zip(todo.iter());
                    Value::Object(
                        members
                            .map(|(name, text)| (name.to_owned(), Value::from(stored(text))))
                            .collect(),
                    )
                });
                let input = serde_json::json!({"todos": todos.collect::<Vec<_>>()});
                self.input(call, "TodoWrite", input, *active, seq, at);
            }
            Said::Input {
                call,
                tool,
                input,
                todo,
            } => self.input(
                call,
                tool,
                storable(input),
                todo.unwrap_or(*active),
                seq,
                at,
            ),
            Said::Output { call, output } => {
                self.output(call, storable(output), "output-available", *active, seq, at);
            }
            Said::Failure { call, error } => {
                self.output(call, stored(error).into(), "output-error", *active, seq, at);
            }
            Said::Bad | Said::Unknown { .. } => {}
        }
    }

    fn append(
        &mut self,
        reasoning: bool,
        id: &str,
        text: &str,
        todo: i32,
        first_seq: u64,
        began_at: Timestamp,
    ) {
        let new = Text {
            todo,
            first_seq,
            began_at,
            content: String::new(),
        };
        let there = self.texts.entry((reasoning, id.to_owned())).or_insert(new);
        there.content += &stored(text);
    }

    fn input(
        &mut self,
        id: &str,
        name: &str,
        input: Value,
        todo: i32,
        first_seq: u64,
        at: Timestamp,
    ) {
        let call = Call {
            todo,
            name: name.to_owned(),
            input: Some(input),
            state: "input-available",
            first_seq,
            started_at: Some(at),
            ..Call::default()
        };
        self.calls.insert(id.to_owned(), call);
    }

    fn output(
        &mut self,
        id: &str,
        output: Value,
        state: &'static str,
        todo: i32,
        first_seq: u64,
        at: Timestamp,
    ) {
        let stray = Call {
            todo,
            first_seq,
            ..Call::default()
        };
        let call = self.calls.entry(id.to_owned()).or_insert(stray);
        call.output = Some(output);
        call.state = state;
        call.ended_at = Some(at);
    }
}

fn storable(json: &Value) -> Value {
    match json {
        Value::String(text) => stored(text).into(),
        Value::Array(items) => items.iter().map(storable).collect(),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (stored(name), storable(value)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

/// Follows a plan along the parts of a log, which may have cut its texts anywhere.
struct Reader<'p> {
    plan: &'p [Said],
    at: usize,
    taken: usize,
}

impl Reader<'_> {
    /// What of the plan a part is; the error if it is not what comes next.
    fn next(&mut self, part: &Value) -> Result<Said, String> {
        let text = |name: &str| part[name].as_str().unwrap_or_default().to_owned();
        let kind = text("type");
        let said = self.plan.get(self.at).ok_or("the agent has said all")?;
        if kind == "text-delta" && text("id") == "stdout" {
            let text = text("delta");
            self.lines(&text)?;
            return Ok(Said::Line { text });
        }
        let (
            Said::Delta {
                id,
                text: whole,
                reasoning,
            },
            Some(delta),
        ) = (said, part["delta"].as_str())
        else {
            let line = said.line().replace(HALF_ESCAPED, &HALF.to_string());
            let expected: Value = serde_json::from_str(&line).unwrap_or_default();
            if *part != expected {
                return Err(format!("next is {line:.300}"));
            }
            self.at += 1;
            return Ok(said.clone());
        };
        let rest = &whole[self.taken..];
        let is_it = kind.starts_with("reasoning") == *reasoning && text("id") == *id;
        if !is_it || !rest.starts_with(delta) || (delta.is_empty() && !rest.is_empty()) {
            return Err(format!("next of {id} is {rest:.300?}"));
        }
        let (id, reasoning) = (id.clone(), *reasoning);
        self.taken += delta.len();
        if self.taken == whole.len() {
            (self.at, self.taken) = (self.at + 1, 0);
        }
        Ok(Said::Delta {
            reasoning,
            id,
            text: delta.to_owned(),
        })
    }

    /// Takes text of standard output: of one line, or of several that follow each other.
    fn lines(&mut self, mut text: &str) -> Result<(), String> {
        while !text.is_empty() {
            let Some(said @ Said::Line { .. }) = self.plan.get(self.at) else {
                return Err(format!("no line comes next, but {text:.300?}"));
            };
            let line = said.line();
            let rest = &line[self.taken..];
            let common = rest.len().min(text.len());
            if rest.as_bytes()[..common] != text.as_bytes()[..common] {
                return Err(format!("next is {rest:.300?}"));
            }
            text = &text[common..];
            self.taken += common;
            if self.taken == line.len() {
                (self.at, self.taken) = (self.at + 1, 0);
            }
        }
        Ok(())
    }
}
