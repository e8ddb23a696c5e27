//! A build's log, read as the updates that its events once were: for a follower that is given a state without
//! what it has not seen yet.

use std::borrow::Cow;

use hopline_wire::part::{PLAN_TOOL, Part, Plan, TextKind};
use hopline_wire::text::storable_json;
use serde::Deserialize;
use serde_json::{Value, json};

use super::live::Update;
use super::types::Event;

/// What the events after one another need to know of those before.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogReader {
    /// The todo that is being done; -1 if none is.
    pub(super) active_todo: i32,
}

#[derive(Deserialize)]
struct Stream<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
}

impl LogReader {
    /// What an event said. One that is no part of a stream, or that the server refused, says nothing here: how
    /// the build stands is told by its state.
    pub(super) fn read(&mut self, event: &Event) -> Vec<Update> {
        let body = event.body.as_ref().filter(|_| event.is_stream());
        let Some(body) = body.map(|body| storable_json(body.get())) else {
            return Vec::new();
        };
        let Ok(stream) = serde_json::from_str::<Stream<'_>>(&body) else {
            return Vec::new();
        };
        Part::in_event(&stream.data).map_or_else(|_| Vec::new(), |part| self.part(&part, event.seq))
    }

    fn part(&mut self, part: &Part<'_>, seq: u64) -> Vec<Update> {
        match part {
            Part::TextDelta { kind, id, delta } => vec![self.text(*kind, id, delta)],
            // A line without an id is a text of its own.
            Part::Reasoning { message } => {
                vec![self.text(TextKind::Reasoning, &format!("#{seq}"), message)]
            }
            Part::ToolInput {
                id,
                name,
                input,
                todo_index,
            } => {
                let plan = (name == PLAN_TOOL)
                    .then(|| Plan::read(input).ok())
                    .flatten();
                if let Some(plan) = &plan {
                    self.active_todo = plan.active_index();
                }
                let call = json!({
                    "id": id,
                    "name": name,
                    "todoIndex": todo_index.unwrap_or(self.active_todo),
                    "state": "input-available",
                });
                let plan = plan.map(|plan| Update::Todos(json!(plan)));
                plan.into_iter().chain([Update::ToolCall(call)]).collect()
            }
            Part::ToolOutput { id, output } => {
                let output: Value = serde_json::from_str(output.get()).unwrap_or_default();
                vec![self.answer(id, "output-available", output)]
            }
            Part::ToolError { id, error } => {
                vec![self.answer(id, "output-error", json!(error))]
            }
            _ => Vec::new(),
        }
    }

    fn text(&self, kind: TextKind, id: &str, delta: &str) -> Update {
        Update::Text(json!({
            "todoIndex": self.active_todo,
            "id": id,
            "kind": kind.as_str(),
            "delta": delta,
        }))
    }

    fn answer(&self, id: &str, state: &str, output: Value) -> Update {
        let todo_index = self.active_todo;
        Update::ToolCall(
            json!({ "id": id, "todoIndex": todo_index, "state": state, "output": output }),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, part: &Value) -> Event {
        let body = json!({ "type": "build-stream", "data": format!("data: {part}\n\n") });
        serde_json::from_value(json!({
            "seq": seq, "type": "build-stream", "outcome": "committed", "body": body,
        }))
        .unwrap()
    }

    #[test]
    fn events_read_from_the_log_are_the_updates_that_they_were() {
        let mut log = LogReader { active_todo: -1 };
        let todo = |status| json!({"content": "a", "activeForm": "", "status": status});
        let plan = json!({"todos": [todo("completed"), todo("in_progress")]});
        let parts = [
            json!({"type": "text-delta", "id": "t", "delta": "before\u{0}"}),
            json!({"type": "tool-input-available", "toolCallId": "p", "toolName": "TodoWrite", "input": plan}),
            json!({"type": "reasoning", "message": "hm"}),
            json!({"type": "tool-input-available", "toolCallId": "c", "toolName": "Bash", "input": {}, "todoIndex": 0}),
            json!({"type": "tool-output-error", "toolCallId": "c", "errorText": "no"}),
            json!({"type": "finish"}),
        ];
        let events = (1..).zip(&parts).map(|(seq, part)| event(seq, part));
        let updates: Vec<_> = events.flat_map(|event| log.read(&event)).collect();
        let call = |id: &str, name: &str, index: i32| {
            Update::ToolCall(
                json!({"id": id, "name": name, "todoIndex": index, "state": "input-available"}),
            )
        };
        assert_eq!(
            updates,
            [
                Update::Text(
                    json!({"todoIndex": -1, "id": "t", "kind": "text", "delta": "before\u{fffd}"})
                ),
                Update::Todos(plan),
                call("p", "TodoWrite", 1),
                Update::Text(
                    json!({"todoIndex": 1, "id": "#3", "kind": "reasoning", "delta": "hm"})
                ),
                call("c", "Bash", 0),
                Update::ToolCall(
                    json!({"id": "c", "todoIndex": 1, "state": "output-error", "output": "no"})
                ),
            ]
        );
    }

    #[test]
    fn what_the_server_refused_or_cannot_be_read_says_nothing() {
        let mut log = LogReader { active_todo: -1 };
        let good = json!({"type": "text-delta", "id": "t", "delta": "x"});
        let read = |change: &dyn Fn(&mut Value)| {
            let mut event = json!({"seq": 1, "type": "build-stream", "outcome": "committed",
                "body": {"data": format!("data: {good}\n\n")}});
            change(&mut event);
            log.read(&serde_json::from_value(event).unwrap()).len()
        };
        let mut read = read;
        assert_eq!(read(&|_| ()), 1);
        assert_eq!(read(&|event| event["outcome"] = json!("rejected")), 0);
        assert_eq!(read(&|event| event["type"] = json!("log-chunk")), 0);
        assert_eq!(read(&|event| event["body"] = json!(null)), 0);
        assert_eq!(read(&|event| event["body"]["data"] = json!("nonsense")), 0);
    }
}
