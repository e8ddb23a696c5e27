//! What is kept of a program's output for the answer of its tool call: the beginning and the end.

use std::collections::VecDeque;

use sha2::{Digest as _, Sha256};

use crate::events::{Members, hex, object};

/// How much of the beginning, and of the end, is kept, in bytes each.
const KEPT_BYTES: usize = 16 << 10;

/// One output of a program, bounded.
#[derive(Default)]
pub(super) struct Capture {
    head: String,
    tail: VecDeque<u8>,
    bytes: u64,
    digest: Sha256,
}

impl Capture {
    pub(super) fn push(&mut self, text: &str) {
        self.bytes += text.len() as u64;
        self.digest.update(text);
        let room = KEPT_BYTES.saturating_sub(self.head.len());
        // Once something has gone to the tail, the head is complete.
        let room = if self.tail.is_empty() { room } else { 0 };
        let head = hopline_wire::text::prefix(text, room);
        self.head.push_str(head);
        self.tail.extend(&text.as_bytes()[head.len()..]);
        let surplus = self.tail.len().saturating_sub(KEPT_BYTES);
        self.tail.drain(..surplus);
    }

    /// Writes the output as the member `name`, and, if not all of it is there, how much it was and its digest.
    pub(super) fn write(mut self, name: &str, members: &mut Members<'_>) {
        let cut = self.bytes - (self.head.len() + self.tail.len()) as u64;
        let mut text = self.head;
        if cut > 0 {
            text.push_str(&format!("\n… {cut} bytes left out …\n"));
        }
        // The cut may have gone through a character.
        text.push_str(&String::from_utf8_lossy(self.tail.make_contiguous()));
        members.text(name, &text);
        if cut > 0 {
            let truncated = object(|members| {
                members
                    .value("bytes", &self.bytes)
                    .text("sha256", &hex(&self.digest.finalize()));
            });
            members.raw(&format!("{name}Truncated"), &truncated);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pieces: &[&str]) -> serde_json::Value {
        let mut capture = Capture::default();
        for piece in pieces {
            capture.push(piece);
        }
        let json = object(|members| capture.write("stdout", members));
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_short_output_is_kept_whole() {
        let whole = ["é".repeat(KEPT_BYTES / 2 - 1), "€x".repeat(3)];
        let value = written(&[&whole[0], &whole[1]]);
        assert_eq!(value["stdout"], whole.concat());
        assert_eq!(value.get("stdoutTruncated"), None);
    }

    #[test]
    fn of_a_long_output_beginning_and_end_are_kept_and_the_rest_is_told() {
        let middle = "m".repeat(3 * KEPT_BYTES);
        let value = written(&["begin", &middle, "end"]);
        let text = value["stdout"].as_str().unwrap();
        assert!(text.starts_with("begin") && text.ends_with("end"));
        assert!(text.len() < 3 * KEPT_BYTES);
        let whole = format!("begin{middle}end");
        assert_eq!(value["stdoutTruncated"]["bytes"], whole.len());
        assert_eq!(
            value["stdoutTruncated"]["sha256"],
            hex(&Sha256::digest(&whole))
        );
    }
}
