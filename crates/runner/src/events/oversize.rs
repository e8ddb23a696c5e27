//! What is done with a part that makes its event larger than an event may be: texts become several parts, tool
//! inputs and outputs are cut in the middle, anything else is replaced by a part that says so. So is a part whose ids
//! and names would be most of every piece: what is written grows with what came, not with the number of pieces.
//!
//! What was cut is told in the part and, since only that reaches the database, in the value itself:
//! `{"content": "<beginning>…<end>", "truncated": {"bytes": <of the whole>, "sha256": "<of the whole>"}}`, where
//! `content` is the text, or the JSON of what was no text.

use std::fmt::Write as _;

use hopline_wire::part::{BadPart, Part, TextKind};
use hopline_wire::text;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::json::object;

/// What a part takes beside its text, in bytes of the event, names and ids aside.
const PART_BYTES: usize = 512;

/// Names and ids may take this share of the room.
const NAMES_SHARE: usize = 8;

/// Less room than this for a piece of text would make no headway, in bytes of the event.
const LEAST_ROOM: usize = 1_024;

/// Parts to send in place of one, made as they are asked for.
pub(super) type Pieces<'p> = Box<dyn Iterator<Item = String> + 'p>;

/// The parts to send in place of `part`, whose JSON is `json`; each takes at most `room` bytes of its event, unless
/// that is too little even for the word that the part was left out.
pub(super) fn pieces<'p>(part: &'p Part<'p>, json: &str, room: usize) -> Pieces<'p> {
    let names = match part {
        Part::TextDelta { id, .. } | Part::ToolOutput { id, .. } | Part::ToolError { id, .. } => {
            grown(id)
        }
        Part::ToolInput { id, name, .. } => grown(id) + grown(name),
        _ => 0,
    };
    let left = room.saturating_sub(PART_BYTES + names);
    if names > room / NAMES_SHARE || left < LEAST_ROOM {
        return Box::new(std::iter::once(left_out(part.kind(), json.len())));
    }
    match part {
        Part::TextDelta { kind, id, delta } => {
            let name = match kind {
                TextKind::Text => "text-delta",
                TextKind::Reasoning => "reasoning-delta",
            };
            let piece = move |piece: &str| {
                object(|members| {
                    members
                        .text("type", name)
                        .text("id", id)
                        .text("delta", piece);
                })
            };
            Box::new(split(delta, left).map(piece))
        }
        Part::Reasoning { message } => Box::new(split(message, left).map(|piece| {
            object(|members| {
                members.text("type", "reasoning").text("message", piece);
            })
        })),
        other => Box::new(std::iter::once(cut(other, json, left))),
    }
}

/// A part of a tool, cut to `room`; word of any other that it was left out.
fn cut(part: &Part<'_>, json: &str, room: usize) -> String {
    match part {
        Part::ToolInput {
            id,
            name,
            input,
            todo_index,
        } => {
            let cut = Cut::of(input, room);
            object(|members| {
                members
                    .text("type", "tool-input-available")
                    .text("toolCallId", id)
                    .text("toolName", name)
                    .raw("input", &cut.value());
                if let Some(index) = todo_index {
                    members.value("todoIndex", index);
                }
                members.raw("truncated", &cut.truncated);
            })
        }
        Part::ToolOutput { id, output } => {
            let cut = Cut::of(output, room);
            object(|members| {
                members
                    .text("type", "tool-output-available")
                    .text("toolCallId", id)
                    .raw("output", &cut.value())
                    .raw("truncated", &cut.truncated);
            })
        }
        Part::ToolError { id, error } => object(|members| {
            members
                .text("type", "tool-output-error")
                .text("toolCallId", id)
                .text("errorText", &cut_middle(error, room))
                .raw("truncated", &truncated(error));
        }),
        other => left_out(other.kind(), json.len()),
    }
}

/// The part to send in place of one of `bytes` bytes that cannot be read whole.
pub(super) fn unreadable(part: &BadPart, bytes: usize) -> String {
    match part {
        BadPart::Field { part, .. } => left_out(part, bytes),
        BadPart::NotServerSent | BadPart::NotJson(_) => left_out("unknown", bytes),
    }
}

fn left_out(kind: &str, bytes: usize) -> String {
    let left_out = format!(
        "a part of the type {} was left out: its {bytes} bytes are more than an event may have",
        text::prefix(kind, 128),
    );
    object(|members| {
        members.text("type", "error").text("errorText", &left_out);
    })
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
        grown += in_event(character);
        if grown > room && bytes > 0 {
            break;
        }
        bytes += character.len_utf8();
    }
    bytes
}

/// What a text takes in a JSON string inside a JSON string, in bytes.
fn grown(text: &str) -> usize {
    text.chars().map(in_event).sum()
}

fn in_event(character: char) -> usize {
    match character {
        '"' | '\\' => 4,
        '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 3,
        '\0'..='\u{1f}' => 7,
        other => other.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, room: usize) -> Vec<serde_json::Value> {
        pieces(&Part::read(json).unwrap(), json, room)
            .map(|piece| {
                let in_event = serde_json::to_string(&piece).unwrap();
                assert!(in_event.len() <= room, "{} > {room}", in_event.len());
                serde_json::from_str(&piece).unwrap()
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
    fn a_part_whose_ids_would_fill_every_piece_is_replaced_and_not_multiplied() {
        let id = "i".repeat(2_000);
        for json in [
            serde_json::json!({"type": "text-delta", "id": id, "delta": "d".repeat(9_000)}),
            serde_json::json!({"type": "tool-output-error", "toolCallId": id, "errorText": "e".repeat(9_000)}),
            serde_json::json!({"type": "tool-input-available", "toolCallId": "c", "toolName": id, "input": "x".repeat(9_000)}),
        ] {
            let parts = read(&json.to_string(), 4_000);
            assert_eq!((parts.len(), &parts[0]["type"]), (1, &"error".into()));
        }
        let json = serde_json::json!({"type": "text-delta", "id": "t", "delta": "d".repeat(9_000)});
        let parts = read(&json.to_string(), 900);
        assert_eq!(parts.len(), 1, "no room for headway");
    }

    #[test]
    fn what_fits_is_not_cut() {
        assert_eq!(cut_middle("short", 200), "short");
    }
}
