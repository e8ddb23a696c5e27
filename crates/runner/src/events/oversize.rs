//! What is done with a part that makes its event larger than an event may be: texts become several parts, tool
//! inputs and outputs are cut in the middle, anything else is replaced by a part that says so.
//!
//! What was cut is told in the part and, since only that reaches the database, in the value itself:
//! `{"content": "<beginning>…<end>", "truncated": {"bytes": <of the whole>, "sha256": "<of the whole>"}}`, where
//! `content` is the text, or the JSON of what was no text.

use std::fmt::Write as _;

use hopline_wire::part::{Part, TextKind};
use hopline_wire::text;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::json::object;

/// What a part takes beside its text, in bytes of the event, names and ids aside.
const PART_BYTES: usize = 512;

/// Room that is always left for text, however small the events: less would make no headway.
const LEAST_ROOM: usize = 1_024;

/// The parts to send in place of `part`, whose JSON is `json`; each takes at most `room` bytes of its event
/// (but never less than about 2 KiB).
pub(super) fn pieces(part: &Part<'_>, json: &str, room: usize) -> Vec<String> {
    let names = match part {
        Part::TextDelta { id, .. } | Part::ToolOutput { id, .. } | Part::ToolError { id, .. } => {
            id.len()
        }
        Part::ToolInput { id, name, .. } => id.len() + name.len(),
        _ => 0,
    };
    // An id of nothing but quotes grows fourfold on its way into the event.
    let room = room.saturating_sub(PART_BYTES + 4 * names).max(LEAST_ROOM);
    match part {
        Part::TextDelta { kind, id, delta } => {
            let name = match kind {
                TextKind::Text => "text-delta",
                TextKind::Reasoning => "reasoning-delta",
            };
            let piece = |piece: &str| {
                object(|members| {
                    members
                        .text("type", name)
                        .text("id", id)
                        .text("delta", piece);
                })
            };
            split(delta, room).map(piece).collect()
        }
        Part::Reasoning { message } => {
            let piece = |piece: &str| {
                object(|members| {
                    members.text("type", "reasoning").text("message", piece);
                })
            };
            split(message, room).map(piece).collect()
        }
        Part::ToolInput {
            id,
            name,
            input,
            todo_index,
        } => {
            let cut = Cut::of(input, room);
            vec![object(|members| {
                members
                    .text("type", "tool-input-available")
                    .text("toolCallId", id)
                    .text("toolName", name)
                    .raw("input", &cut.value());
                if let Some(index) = todo_index {
                    members.value("todoIndex", index);
                }
                members.raw("truncated", &cut.truncated);
            })]
        }
        Part::ToolOutput { id, output } => {
            let cut = Cut::of(output, room);
            vec![object(|members| {
                members
                    .text("type", "tool-output-available")
                    .text("toolCallId", id)
                    .raw("output", &cut.value())
                    .raw("truncated", &cut.truncated);
            })]
        }
        Part::ToolError { id, error } => vec![object(|members| {
            members
                .text("type", "tool-output-error")
                .text("toolCallId", id)
                .text("errorText", &cut_middle(error, room))
                .raw("truncated", &truncated(error));
        })],
        other => {
            let left_out = format!(
                "a part of the type {} was left out: its {} bytes are more than an event may have",
                text::prefix(other.kind(), 128),
                json.len()
            );
            vec![object(|members| {
                members.text("type", "error").text("errorText", &left_out);
            })]
        }
    }
}

struct Cut {
    content: String,
    truncated: String,
}

impl Cut {
    fn of(value: &RawValue, room: usize) -> Self {
        let whole = text::string(value).unwrap_or_else(|| value.get().into());
        Self {
            content: cut_middle(&whole, room),
            truncated: truncated(&whole),
        }
    }

    fn value(&self) -> String {
        object(|members| {
            members
                .text("content", &self.content)
                .raw("truncated", &self.truncated);
        })
    }
}

fn truncated(whole: &str) -> String {
    object(|members| {
        members
            .value("bytes", &whole.len())
            .text("sha256", &hex(&Sha256::digest(whole)));
    })
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing into a text cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The beginning and the end of `whole`, at most about `room` bytes once they are in an event.
pub(crate) fn cut_middle(whole: &str, room: usize) -> String {
    let half = room.saturating_sub(64) / 2;
    let head = &whole[..fitting(whole.chars(), half)];
    let rest = &whole[head.len()..];
    let tail = &rest[rest.len() - fitting(rest.chars().rev(), half)..];
    let cut = rest.len() - tail.len();
    if cut == 0 {
        return whole.to_owned();
    }
    format!("{head}\n… {cut} bytes left out …\n{tail}")
}

/// `whole` in pieces that take at most `room` bytes each once they are in an event.
fn split(whole: &str, room: usize) -> impl Iterator<Item = &str> {
    let mut rest = whole;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(fitting(rest.chars(), room));
        rest = after;
        Some(piece)
    })
}

/// How many bytes of text can be taken from `characters` so that they grow to at most `room` by being put
/// into a JSON string inside a JSON string; at least the first character.
fn fitting(characters: impl Iterator<Item = char>, room: usize) -> usize {
    let (mut bytes, mut grown) = (0, 0);
    for character in characters {
        grown += match character {
            '"' | '\\' => 4,
            '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 3,
            '\0'..='\u{1f}' => 7,
            other => other.len_utf8(),
        };
        if grown > room && bytes > 0 {
            break;
        }
        bytes += character.len_utf8();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, room: usize) -> Vec<serde_json::Value> {
        let pieces = pieces(&Part::read(json).unwrap(), json, room);
        pieces
            .iter()
            .map(|piece| {
                let in_event = serde_json::to_string(piece).unwrap();
                assert!(in_event.len() <= room, "{} > {room}", in_event.len());
                serde_json::from_str(piece).unwrap()
            })
            .collect()
    }

    #[test]
    fn a_text_is_split_and_nothing_of_it_lost() {
        let delta = "a\"\u{1}\n€".repeat(1_000);
        for kind in ["text-delta", "reasoning-delta"] {
            let json = serde_json::json!({"type": kind, "id": "t", "delta": delta}).to_string();
            let parts = read(&json, 4_000);
            assert!(parts.len() > 1);
            assert!(
                parts
                    .iter()
                    .all(|part| part["type"] == kind && part["id"] == "t")
            );
            let joined: String = parts
                .iter()
                .map(|part| part["delta"].as_str().unwrap())
                .collect();
            assert_eq!(joined, delta);
        }
    }

    #[test]
    fn an_output_is_cut_in_the_middle_and_says_so() {
        let whole = format!("begin{}end", "x".repeat(50_000));
        let json = serde_json::json!({"type": "tool-output-available", "toolCallId": "c", "output": whole});
        let parts = read(&json.to_string(), 4_000);
        let output = &parts[0]["output"];
        let content = output["content"].as_str().unwrap();
        assert!(content.starts_with("begin") && content.ends_with("end"));
        assert_eq!(output["truncated"]["bytes"], whole.len());
        assert_eq!(
            output["truncated"]["sha256"],
            hex(&Sha256::digest(whole.as_bytes()))
        );
        assert_eq!(parts[0]["truncated"], output["truncated"]);
    }

    #[test]
    fn a_value_that_is_no_text_is_cut_as_json() {
        let input = serde_json::json!({"file": "x".repeat(9_000)});
        let json = serde_json::json!({"type": "tool-input-available", "toolCallId": "c", "toolName": "Write", "input": input, "todoIndex": 2});
        let parts = read(&json.to_string(), 4_000);
        let content = parts[0]["input"]["content"].as_str().unwrap();
        assert!(content.starts_with("{\"file\":") && content.ends_with("x\"}"));
        assert_eq!(
            (&parts[0]["todoIndex"], &parts[0]["toolName"]),
            (&2.into(), &"Write".into())
        );
    }

    #[test]
    fn what_can_be_neither_split_nor_cut_is_replaced_by_word_of_it() {
        let json = serde_json::json!({"type": "data-picture", "data": "x".repeat(9_000)});
        let parts = read(&json.to_string(), 4_000);
        let error = parts[0]["errorText"].as_str().unwrap();
        assert!(error.contains("data-picture"), "{error}");
    }

    #[test]
    fn what_fits_is_not_cut() {
        assert_eq!(cut_middle("short", 200), "short");
    }
}
