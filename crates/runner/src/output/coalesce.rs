//! Gathering text into chunks of a bounded size and age.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::{OutputStream, Utf8Decoder};

/// Text that a program wrote to one of its outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where it was written to.
    pub stream: OutputStream,
    /// What was written, line ends as they came; never empty.
    pub text: String,
}

/// When a chunk is full or old enough to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimits {
    /// The most bytes of text in a chunk; at least 4, so that any character fits.
    pub max_bytes: usize,
    /// How long a chunk may wait for more, from its first byte.
    pub max_wait: Duration,
}

impl Default for ChunkLimits {
    /// 8 KiB and 50 ms, as the agents' output is specified (docs/wire.md).
    fn default() -> Self {
        Self {
            max_bytes: 8 * 1024,
            max_wait: Duration::from_millis(50),
        }
    }
}

/// Gathers what two outputs bring into chunks.
///
/// Chunks come out in the order in which their bytes went in: text of the other output ends a
/// chunk. No clock is read here; the caller says what time it is and calls [`flush`](Self::flush)
/// at [`deadline`](Self::deadline).
#[derive(Debug)]
pub struct Coalescer {
    limits: ChunkLimits,
    decoders: [Utf8Decoder; 2],
    /// Full or ended chunks, oldest first.
    ready: VecDeque<Chunk>,
    /// The chunk that is being filled, if `gathered` is not empty.
    stream: OutputStream,
    gathered: String,
    deadline: Option<Instant>,
}

impl Coalescer {
    /// An empty one.
    pub fn new(limits: ChunkLimits) -> Self {
        Self {
            limits: ChunkLimits {
                max_bytes: limits.max_bytes.max(char::MAX.len_utf8()),
                ..limits
            },
            decoders: Default::default(),
            ready: VecDeque::new(),
            stream: OutputStream::Stdout,
            gathered: String::new(),
            deadline: None,
        }
    }

    /// Takes in what was read from `stream` at `now`. Chunks that are full then can be
    /// [taken](Self::take).
    pub fn push(&mut self, stream: OutputStream, bytes: &[u8], now: Instant) {
        self.gather(stream, Some(now), |decoder, text| {
            decoder.decode(bytes, text)
        });
    }

    /// Ends `stream`: the start of a character that it was cut short in shows as U+FFFD.
    pub fn finish(&mut self, stream: OutputStream) {
        self.gather(stream, None, Utf8Decoder::finish);
    }

    /// Makes what is gathered ready, full or not.
    pub fn flush(&mut self) {
        self.deadline = None;
        if !self.gathered.is_empty() {
            self.ready.push_back(Chunk {
                stream: self.stream,
                text: std::mem::take(&mut self.gathered),
            });
        }
    }

    /// The next chunk that is ready.
    pub fn take(&mut self) -> Option<Chunk> {
        self.ready.pop_front()
    }

    /// When [`flush`](Self::flush) is due; `None` while nothing is gathered.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn gather(
        &mut self,
        stream: OutputStream,
        now: Option<Instant>,
        decode: impl FnOnce(&mut Utf8Decoder, &mut String),
    ) {
        if stream != self.stream {
            self.flush();
            self.stream = stream;
        }
        decode(&mut self.decoders[stream as usize], &mut self.gathered);
        self.split_full();
        if self.gathered.is_empty() {
            self.deadline = None;
        } else if self.deadline.is_none() {
            self.deadline = now.map(|now| now + self.limits.max_wait);
        }
    }

    /// Cuts full chunks off the front of what is gathered.
    fn split_full(&mut self) {
        let max = self.limits.max_bytes;
        let mut rest = self.gathered.as_str();
        while rest.len() >= max {
            let mut end = max;
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            let (chunk, after) = rest.split_at(end);
            self.ready.push_back(Chunk {
                stream: self.stream,
                text: chunk.to_owned(),
            });
            rest = after;
        }
        if rest.len() < self.gathered.len() {
            self.gathered = rest.to_owned();
            // What is left came last, with the time that its push brings.
            self.deadline = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::OutputStream::{Stderr, Stdout};
    use super::*;

    fn coalescer(max_bytes: usize) -> Coalescer {
        Coalescer::new(ChunkLimits {
            max_bytes,
            max_wait: Duration::from_millis(50),
        })
    }

    fn taken(coalescer: &mut Coalescer) -> Vec<(OutputStream, String)> {
        std::iter::from_fn(|| coalescer.take())
            .map(|chunk| (chunk.stream, chunk.text))
            .collect()
    }

    #[test]
    fn small_writes_wait_for_each_other_until_the_first_ones_deadline() {
        let mut coalescer = coalescer(100);
        let start = Instant::now();
        assert_eq!(coalescer.deadline(), None);
        coalescer.push(Stdout, b"one\r\n", start);
        coalescer.push(Stdout, b"two\n", start + Duration::from_millis(40));
        assert_eq!(
            coalescer.deadline(),
            Some(start + Duration::from_millis(50))
        );
        assert_eq!(coalescer.take(), None);
        coalescer.flush();
        assert_eq!(taken(&mut coalescer), [(Stdout, "one\r\ntwo\n".to_owned())]);
        assert_eq!(coalescer.deadline(), None);
    }

    #[test]
    fn a_full_chunk_does_not_wait() {
        let mut coalescer = coalescer(4);
        let start = Instant::now();
        coalescer.push(Stdout, b"abcdefghij", start);
        assert_eq!(
            taken(&mut coalescer),
            [(Stdout, "abcd".to_owned()), (Stdout, "efgh".to_owned())]
        );
        assert_eq!(
            coalescer.deadline(),
            Some(start + Duration::from_millis(50))
        );
        coalescer.push(Stdout, b"kl", start);
        assert_eq!(taken(&mut coalescer), [(Stdout, "ijkl".to_owned())]);
        assert_eq!(coalescer.deadline(), None);
    }

    #[test]
    fn no_character_is_cut_by_a_chunks_end() {
        let mut coalescer = coalescer(4);
        coalescer.push(Stdout, "a€€".as_bytes(), Instant::now());
        coalescer.flush();
        assert_eq!(
            taken(&mut coalescer),
            [(Stdout, "a€".to_owned()), (Stdout, "€".to_owned())]
        );
    }

    #[test]
    fn the_outputs_keep_their_order_and_their_own_unfinished_characters() {
        let mut coalescer = coalescer(100);
        let now = Instant::now();
        coalescer.push(Stdout, b"out\xe2\x82", now);
        coalescer.push(Stderr, b"err", now);
        coalescer.push(Stdout, b"\xac", now);
        coalescer.finish(Stdout);
        coalescer.finish(Stderr);
        coalescer.flush();
        let expected =
            [(Stdout, "out"), (Stderr, "err"), (Stdout, "€")].map(|(s, text)| (s, text.to_owned()));
        assert_eq!(taken(&mut coalescer), expected);
    }

    #[test]
    fn a_character_cut_short_by_the_end_is_shown() {
        let mut coalescer = coalescer(100);
        coalescer.push(Stderr, b"\xf0\x9f", Instant::now());
        assert_eq!(coalescer.deadline(), None, "nothing can be shown of it yet");
        coalescer.finish(Stderr);
        coalescer.flush();
        assert_eq!(taken(&mut coalescer), [(Stderr, "\u{fffd}".to_owned())]);
    }
}
