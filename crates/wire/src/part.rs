//! The parts inside a `build-stream` event: the AI SDK's UI message stream, one server-sent event each.
//!
//! [`Part`] borrows from the event it came in. What it does not know it keeps as [`Part::Other`]: a
//! newer agent's part is carried and logged, never an error.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::text;

/// The tool whose input is the plan.
pub const PLAN_TOOL: &str = "TodoWrite";

/// One part. Texts are already as rows can hold them (see [`text`]); tool inputs and outputs are the JSON
/// as it came.
#[derive(Debug, Clone)]
pub enum Part<'a> {
    /// The agent begins.
    Start {
        /// The message's id.
        message_id: Option<Cow<'a, str>>,
    },
    /// A text or a line of reasoning begins.
    TextStart {
        /// Which of the two.
        kind: TextKind,
        /// The text's id.
        id: Cow<'a, str>,
    },
    /// More of a text.
    TextDelta {
        /// Text or reasoning.
        kind: TextKind,
        /// The text's id.
        id: Cow<'a, str>,
        /// What to append.
        delta: Cow<'a, str>,
    },
    /// A text ends.
    TextEnd {
        /// Text or reasoning.
        kind: TextKind,
        /// The text's id.
        id: Cow<'a, str>,
    },
    /// A whole line of reasoning, without an id of its own (`reasoning`, `data-reasoning`).
    Reasoning {
        /// The line.
        message: Cow<'a, str>,
    },
    /// A tool is about to be called.
    ToolInputStart {
        /// The call.
        id: Cow<'a, str>,
        /// The tool.
        name: Cow<'a, str>,
    },
    /// A tool is called.
    ToolInput {
        /// The call.
        id: Cow<'a, str>,
        /// The tool.
        name: Cow<'a, str>,
        /// What it is given.
        input: &'a RawValue,
        /// The todo it belongs to, where the agent says so; else the active one.
        todo_index: Option<i32>,
    },
    /// A tool has answered.
    ToolOutput {
        /// The call.
        id: Cow<'a, str>,
        /// Its answer.
        output: &'a RawValue,
    },
    /// A tool has failed.
    ToolError {
        /// The call.
        id: Cow<'a, str>,
        /// What went wrong.
        error: Cow<'a, str>,
    },
    /// The agent's message ends. Does not end the build.
    Finish,
    /// The agent reports an error. Does not end the build.
    Error {
        /// What went wrong.
        error: Cow<'a, str>,
    },
    /// The stream's end marker, `[DONE]`.
    Done,
    /// Anything else, `data-*` among it.
    Other {
        /// Its type.
        kind: Cow<'a, str>,
    },
}

/// The two kinds of text an agent writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TextKind {
    /// Text for the reader.
    Text,
    /// The agent thinking aloud.
    Reasoning,
}

impl TextKind {
    /// The kind's name in rows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Reasoning => "reasoning",
        }
    }
}

/// Why a part cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPart {
    /// `data` is no server-sent event.
    #[error("expected one server-sent event, \"data: {{json}}\\n\\n\" or \"data: [DONE]\\n\\n\"")]
    NotServerSent,
    /// What follows `data: ` is no JSON object with a `type`.
    #[error("expected a JSON object with a type after \"data: \": {0}")]
    NotJson(String),
    /// A field is missing or has the wrong type.
    #[error("part {part}: expected {field} to be {expected}")]
    Field {
        /// The part's type.
        part: String,
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

/// The JSON inside a `build-stream` event's `data`; none for the end marker.
///
/// # Errors
/// [`BadPart::NotServerSent`] if `data` is not one server-sent event.
pub fn server_sent_json(data: &str) -> Result<Option<&str>, BadPart> {
    let payload = data
        .strip_prefix("data:")
        .ok_or(BadPart::NotServerSent)?
        .trim();
    // A second line in the same event would be lost by every reader; JSON itself has no raw line breaks
    // that matter, so one event is one payload.
    match payload {
        "" => Err(BadPart::NotServerSent),
        "[DONE]" => Ok(None),
        json => Ok(Some(json)),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_call_id: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_name: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    error_text: Option<&'a RawValue>,
    #[serde(borrow)]
    todo_index: Option<&'a RawValue>,
}

impl<'a> Part<'a> {
    /// Reads the part inside a `build-stream` event's `data`.
    ///
    /// # Errors
    /// [`BadPart`], which says what was expected where.
    pub fn in_event(data: &'a str) -> Result<Self, BadPart> {
        server_sent_json(data)?.map_or(Ok(Self::Done), Self::read)
    }

    /// Reads a part from its JSON.
    ///
    /// # Errors
    /// [`BadPart`], which says what was expected where.
    pub fn read(json: &'a str) -> Result<Self, BadPart> {
        let fields: Fields<'a> =
            serde_json::from_str(json).map_err(|error| BadPart::NotJson(error.to_string()))?;
        let kind = fields
            .kind
            .and_then(text::string)
            .ok_or_else(|| BadPart::NotJson("type is no text".into()))?;
        let want = Want { part: &kind };
        Ok(match kind.as_ref() {
            "start" => Self::Start {
                message_id: fields.message_id.and_then(text::string),
            },
            "text-start" => Self::TextStart {
                kind: TextKind::Text,
                id: want.text("id", fields.id)?,
            },
            "text-end" => Self::TextEnd {
                kind: TextKind::Text,
                id: want.text("id", fields.id)?,
            },
            "text-delta" => Self::TextDelta {
                kind: TextKind::Text,
                id: want.text("id", fields.id)?,
                delta: want.text("delta", fields.delta)?,
            },
            "reasoning-start" => Self::TextStart {
                kind: TextKind::Reasoning,
                id: want.text("id", fields.id)?,
            },
            "reasoning-end" => Self::TextEnd {
                kind: TextKind::Reasoning,
                id: want.text("id", fields.id)?,
            },
            "reasoning-delta" => Self::TextDelta {
                kind: TextKind::Reasoning,
                id: want.text("id", fields.id)?,
                delta: want.text("delta", fields.delta)?,
            },
            "reasoning" => Self::Reasoning {
                message: want.text("message", fields.message)?,
            },
            "data-reasoning" => Self::Reasoning {
                message: want.data_message(fields.data)?,
            },
            "tool-input-start" => Self::ToolInputStart {
                id: want.text("toolCallId", fields.tool_call_id)?,
                name: want.text("toolName", fields.tool_name)?,
            },
            "tool-input-available" => Self::ToolInput {
                id: want.text("toolCallId", fields.tool_call_id)?,
                name: want.text("toolName", fields.tool_name)?,
                input: fields.input.unwrap_or(RawValue::NULL),
                todo_index: want.index("todoIndex", fields.todo_index)?,
            },
            "tool-output-available" => Self::ToolOutput {
                id: want.text("toolCallId", fields.tool_call_id)?,
                output: fields.output.unwrap_or(RawValue::NULL),
            },
            "tool-output-error" => Self::ToolError {
                id: want.text("toolCallId", fields.tool_call_id)?,
                error: want.text("errorText", fields.error_text)?,
            },
            "finish" => Self::Finish,
            "error" => Self::Error {
                error: want.text("errorText", fields.error_text)?,
            },
            _ => Self::Other { kind },
        })
    }

    /// The part's type, as spans and metrics name it.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Start { .. } => "start",
            Self::TextStart {
                kind: TextKind::Text,
                ..
            } => "text-start",
            Self::TextStart {
                kind: TextKind::Reasoning,
                ..
            } => "reasoning-start",
            Self::TextDelta {
                kind: TextKind::Text,
                ..
            } => "text-delta",
            Self::TextDelta {
                kind: TextKind::Reasoning,
                ..
            } => "reasoning-delta",
            Self::TextEnd {
                kind: TextKind::Text,
                ..
            } => "text-end",
            Self::TextEnd {
                kind: TextKind::Reasoning,
                ..
            } => "reasoning-end",
            Self::Reasoning { .. } => "reasoning",
            Self::ToolInputStart { .. } => "tool-input-start",
            Self::ToolInput { .. } => "tool-input-available",
            Self::ToolOutput { .. } => "tool-output-available",
            Self::ToolError { .. } => "tool-output-error",
            Self::Finish => "finish",
            Self::Error { .. } => "error",
            Self::Done => "done",
            Self::Other { kind } => kind,
        }
    }
}

/// Reads one field of a part, and knows how to say what was expected.
struct Want<'k> {
    part: &'k str,
}

impl Want<'_> {
    fn bad(&self, field: &'static str, expected: &'static str) -> BadPart {
        BadPart::Field {
            part: self.part.to_owned(),
            field,
            expected,
        }
    }

    fn text<'a>(
        &self,
        field: &'static str,
        raw: Option<&'a RawValue>,
    ) -> Result<Cow<'a, str>, BadPart> {
        raw.and_then(text::string)
            .ok_or_else(|| self.bad(field, "a text"))
    }

    fn index(&self, field: &'static str, raw: Option<&RawValue>) -> Result<Option<i32>, BadPart> {
        let Some(raw) = raw.filter(|raw| raw.get() != "null") else {
            return Ok(None);
        };
        let index = raw.get().parse().ok().filter(|index| *index >= -1);
        index
            .map(Some)
            .ok_or_else(|| self.bad(field, "a whole number from -1"))
    }

    fn data_message<'a>(&self, data: Option<&'a RawValue>) -> Result<Cow<'a, str>, BadPart> {
        #[derive(Deserialize)]
        struct Data<'a> {
            #[serde(borrow)]
            message: Option<&'a RawValue>,
        }
        let data: Option<Data<'a>> = data.and_then(|raw| serde_json::from_str(raw.get()).ok());
        self.text("data.message", data.and_then(|data| data.message))
    }
}

/// The state of one todo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TodoStatus {
    /// Not begun.
    Pending,
    /// Being worked on.
    InProgress,
    /// Done.
    Completed,
}

impl TodoStatus {
    /// The status's name in rows and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
        }
    }
}

/// One todo of a plan.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Todo {
    /// What is to be done.
    pub content: String,
    /// The same, as it reads while being done.
    #[serde(default)]
    pub active_form: String,
    /// Where it stands.
    pub status: TodoStatus,
}

/// The input of [`PLAN_TOOL`]: the whole plan, each time.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, Deserialize)]
pub struct Plan {
    /// The todos, in order.
    pub todos: Vec<Todo>,
}

impl Plan {
    /// Reads a plan from the input of [`PLAN_TOOL`].
    ///
    /// # Errors
    /// [`BadPart::Field`] if it is no plan.
    pub fn read(input: &RawValue) -> Result<Self, BadPart> {
        let bad = |_| BadPart::Field {
            part: "tool-input-available".into(),
            field: "input",
            expected: "{todos: [{content, activeForm, status: pending | in_progress | completed}]}",
        };
        let mut plan: Self =
            serde_json::from_str(&text::storable_json(input.get())).map_err(bad)?;
        for todo in &mut plan.todos {
            todo.content = text::storable(&todo.content).into_owned();
            todo.active_form = text::storable(&todo.active_form).into_owned();
        }
        Ok(plan)
    }

    /// The index of the first todo in progress; -1 if none is.
    #[must_use]
    pub fn active_index(&self) -> i32 {
        let position = self
            .todos
            .iter()
            .position(|todo| todo.status == TodoStatus::InProgress);
        position
            .and_then(|index| i32::try_from(index).ok())
            .unwrap_or(-1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_the_format_is_read_under_its_own_name() {
        for (json, name) in [
            (r#"{"type":"start","messageId":"m"}"#, "start"),
            (r#"{"type":"text-start","id":"t"}"#, "text-start"),
            (
                r#"{"type":"text-delta","id":"t","delta":"x"}"#,
                "text-delta",
            ),
            (r#"{"type":"text-end","id":"t"}"#, "text-end"),
            (r#"{"type":"reasoning-start","id":"t"}"#, "reasoning-start"),
            (
                r#"{"type":"reasoning-delta","id":"t","delta":"x"}"#,
                "reasoning-delta",
            ),
            (r#"{"type":"reasoning-end","id":"t"}"#, "reasoning-end"),
            (r#"{"type":"reasoning","message":"x"}"#, "reasoning"),
            (
                r#"{"type":"data-reasoning","data":{"message":"x"}}"#,
                "reasoning",
            ),
            (
                r#"{"type":"tool-input-start","toolCallId":"c","toolName":"Read"}"#,
                "tool-input-start",
            ),
            (
                r#"{"type":"tool-input-available","toolCallId":"c","toolName":"Read","input":{}}"#,
                "tool-input-available",
            ),
            (
                r#"{"type":"tool-output-available","toolCallId":"c","output":null}"#,
                "tool-output-available",
            ),
            (
                r#"{"type":"tool-output-error","toolCallId":"c","errorText":"x"}"#,
                "tool-output-error",
            ),
            (r#"{"type":"finish"}"#, "finish"),
            (r#"{"type":"error","errorText":"x"}"#, "error"),
            (r#"{"type":"data-weather","data":5}"#, "data-weather"),
            (r#"{"type":"of-tomorrow","id":5}"#, "of-tomorrow"),
        ] {
            assert_eq!(Part::read(json).unwrap().kind(), name, "{json}");
        }
        assert_eq!(Part::in_event("data: [DONE]\n\n").unwrap().kind(), "done");
    }

    #[test]
    fn a_bad_part_is_told_with_what_was_expected() {
        let told = |data: &str| Part::in_event(data).unwrap_err().to_string();
        assert!(told("hello").starts_with("expected one server-sent event"));
        assert!(told("data: {").starts_with("expected a JSON object"));
        assert!(told("data: {\"id\":1}").contains("type is no text"));
        assert_eq!(
            told(r#"data: {"type":"text-delta","id":"t","delta":5}"#),
            "part text-delta: expected delta to be a text"
        );
        assert_eq!(
            told(
                r#"data: {"type":"tool-input-available","toolCallId":"c","toolName":"x","input":1,"todoIndex":"a"}"#
            ),
            "part tool-input-available: expected todoIndex to be a whole number from -1"
        );
    }

    #[test]
    fn a_plan_names_its_first_todo_in_progress() {
        let raw: &RawValue = serde_json::from_str(
            r#"{"todos":[{"content":"a","activeForm":"A","status":"completed"},{"content":"b\u0000","status":"in_progress"}]}"#,
        )
        .unwrap();
        let plan = Plan::read(raw).unwrap();
        assert_eq!(plan.active_index(), 1);
        assert_eq!(plan.todos[1].content, "b\u{fffd}");
        let raw: &RawValue =
            serde_json::from_str(r#"{"todos":[{"content":"a","status":"later"}]}"#).unwrap();
        assert!(Plan::read(raw).is_err());
    }
}
