//! The last of a dev server's output.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::output::OutputStream;

/// How much is kept of each server, in bytes.
const KEPT_BYTES: usize = 1 << 20;

/// What a chunk takes beside its text, about.
const CHUNK_BYTES: usize = 64;

/// A piece of output.
#[derive(Debug, Clone)]
pub(super) struct LogEntry {
    /// Its number; those of a project go on through its servers.
    pub(super) number: u64,
    pub(super) stream: OutputStream,
    pub(super) text: Arc<str>,
}

/// The last chunks of a server's output, bounded by bytes.
#[derive(Default)]
pub(super) struct Logs {
    chunks: VecDeque<LogEntry>,
    bytes: usize,
    next: u64,
}

impl Logs {
    /// The logs of the server that follows this one: empty, and numbered on, so that a cursor stays one.
    pub(super) fn successor(&self) -> Self {
        Self {
            next: self.next,
            ..Self::default()
        }
    }

    /// Keeps a chunk, and forgets the oldest for it; answers its number.
    pub(super) fn push(&mut self, stream: OutputStream, text: &str) -> u64 {
        self.bytes += text.len() + CHUNK_BYTES;
        self.chunks.push_back(LogEntry {
            number: self.next,
            stream,
            text: text.into(),
        });
        while self.bytes > KEPT_BYTES
            && self.chunks.len() > 1
            && let Some(oldest) = self.chunks.pop_front()
        {
            self.bytes -= oldest.text.len() + CHUNK_BYTES;
        }
        self.next += 1;
        self.next - 1
    }

    /// At most `limit` chunks from `cursor` on, or from the oldest if that one is gone; and where to go on.
    pub(super) fn from(&self, cursor: u64, limit: usize) -> (Vec<LogEntry>, u64) {
        let start = self.chunks.partition_point(|chunk| chunk.number < cursor);
        let chunks: Vec<LogEntry> = self.chunks.range(start..).take(limit).cloned().collect();
        let next = chunks.last().map_or(self.next, |last| last.number + 1);
        (chunks, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_found_by_cursor_and_memory_is_bounded() {
        let mut logs = Logs::default();
        let text = "x".repeat(8 << 10);
        for number in 0..1_000 {
            assert_eq!(logs.push(OutputStream::Stdout, &text), number);
            assert!(logs.bytes <= KEPT_BYTES);
        }
        let (chunks, next) = logs.from(0, 2);
        assert!(chunks[0].number > 800, "the oldest are gone");
        assert_eq!(next, chunks[1].number + 1);
        let (chunks, next) = logs.from(999, 10);
        assert_eq!((chunks.len(), next), (1, 1_000));
        let (chunks, next) = logs.from(5_000, 10);
        assert_eq!((chunks.len(), next), (0, 1_000));
    }
}
