//! What is kept of a program's output for the answer of its tool call: the beginning and the end of each stream. All
//! of it has been sent as text by then.

use std::collections::VecDeque;

use sha2::{Digest as _, Sha256};

use crate::events::{Members, hex, object};
use crate::output::{Chunk, OutputStream};

/// How much of the beginning, and of the end, of each stream is kept, in bytes.
const KEPT_BYTES: usize = 16 << 10;

/// A program's output, bounded.
#[derive(Default)]
pub(super) struct Capture {
    streams: [Ends; 2],
    /// Of both streams together, in the order in which they came.
    bytes: u64,
    digest: Sha256,
}

/// Beginning and end of one stream.
#[derive(Default)]
struct Ends {
    head: String,
    tail: VecDeque<u8>,
    /// How much between them is gone, in bytes.
    cut: usize,
}

impl Capture {
    pub(super) fn push(&mut self, chunk: &Chunk) {
        self.bytes += chunk.text.len() as u64;
        self.digest.update(&chunk.text);
        self.streams[chunk.stream as usize].push(&chunk.text);
    }

    /// Writes the members `stdout` and `stderr`, and `truncated`, with the size and digest of both together, if not
    /// all of them is there.
    pub(super) fn write(self, members: &mut Members<'_>) {
        let [stdout, stderr] = self.streams;
        let is_cut = stdout.cut + stderr.cut > 0;
        members
            .text(OutputStream::Stdout.as_str(), &stdout.into_text())
            .text(OutputStream::Stderr.as_str(), &stderr.into_text());
        if is_cut {
            let truncated = object(|members| {
                members
                    .value("bytes", &self.bytes)
                    .text("sha256", &hex(&self.digest.finalize()));
            });
            members.raw("truncated", &truncated);
        }
    }
}

impl Ends {
    fn push(&mut self, text: &str) {
        // Once something has gone to the tail, the head is complete.
        let room = if self.tail.is_empty() {
            KEPT_BYTES.saturating_sub(self.head.len())
        } else {
            0
        };
        let head = hopline_wire::text::prefix(text, room);
        self.head.push_str(head);
        self.tail.extend(&text.as_bytes()[head.len()..]);
        let surplus = self.tail.len().saturating_sub(KEPT_BYTES);
        self.tail.drain(..surplus);
        self.cut += surplus;
    }

    fn into_text(mut self) -> String {
        let mut text = self.head;
        if self.cut > 0 {
            text.push_str(&format!("\n… {} bytes left out …\n", self.cut));
        }
        // The cut may have gone through a character.
        text.push_str(&String::from_utf8_lossy(self.tail.make_contiguous()));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pieces: &[(OutputStream, &str)]) -> serde_json::Value {
        let mut capture = Capture::default();
        for (stream, text) in pieces {
            capture.push(&Chunk {
                stream: *stream,
                text: (*text).to_owned(),
            });
        }
        let json = object(|members| capture.write(members));
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_short_output_is_kept_whole() {
        let whole = ["é".repeat(KEPT_BYTES / 2 - 1), "€x".repeat(3)];
        let value = written(&[
            (OutputStream::Stdout, &whole[0]),
            (OutputStream::Stderr, "!"),
            (OutputStream::Stdout, &whole[1]),
        ]);
        assert_eq!(value["stdout"], whole.concat());
        assert_eq!(value["stderr"], "!");
        assert_eq!(value.get("truncated"), None);
    }

    #[test]
    fn of_a_long_output_beginning_and_end_are_kept_and_the_rest_is_told() {
        let middle = "m".repeat(3 * KEPT_BYTES);
        let value = written(&[
            (OutputStream::Stdout, "begin"),
            (OutputStream::Stdout, &middle),
            (OutputStream::Stderr, "err"),
            (OutputStream::Stdout, "end"),
        ]);
        let text = value["stdout"].as_str().unwrap();
        assert!(text.starts_with("begin") && text.ends_with("end"));
        assert!(text.len() < 3 * KEPT_BYTES);
        let whole = format!("begin{middle}errend");
        assert_eq!(value["truncated"]["bytes"], whole.len());
        assert_eq!(value["truncated"]["sha256"], hex(&Sha256::digest(&whole)));
    }
}
