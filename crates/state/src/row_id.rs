//! The identifiers of folded rows: UUIDs of version 5 (RFC 9562, section 5.5) of the session and the row's
//! natural key, so that folding the log again gives the same rows.

use hopline_wire::part::TextKind;
use uuid::Uuid;

/// The id of the todo at a place of a session's plan.
#[must_use]
pub fn of_todo(session: Uuid, index: i32) -> Uuid {
    Uuid::new_v5(&session, format!("todo:{index}").as_bytes())
}

/// The id of a session's tool call.
#[must_use]
pub fn of_tool_call(session: Uuid, tool_call_id: &str) -> Uuid {
    Uuid::new_v5(&session, format!("tool-call:{tool_call_id}").as_bytes())
}

/// The id of one part of a session's text.
#[must_use]
pub fn of_note(session: Uuid, kind: TextKind, text_id: &str, part: u32) -> Uuid {
    let key = format!("note:{}:{part}:{text_id}", kind.as_str());
    Uuid::new_v5(&session, key.as_bytes())
}
