//! From a program's output to text, without losing or reordering a byte.
//!
//! * [`Utf8Decoder`] turns bytes into text as they come; what is no UTF-8 becomes U+FFFD and
//!   nothing else changes.
//! * [`Coalescer`] gathers text into [`Chunk`]s of a bounded size and age; [`OutputReader`] drives
//!   it from two pipes.
//! * [`LineSplitter`] cuts a stream into lines of a bounded size; [`LineReader`] drives it from one
//!   pipe.
//!
//! The readers are pulled: a consumer that does not ask for more leaves the bytes in the pipe, and
//! the program that writes them stands still when the pipe is full. Nothing here queues beyond one
//! read and one chunk.

mod coalesce;
mod decode;
mod lines;
mod read;

pub use coalesce::{Chunk, ChunkLimits, Coalescer};
pub use decode::Utf8Decoder;
pub use lines::{Line, LineReader, LineSplitter};
pub use read::OutputReader;

/// Which of a program's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl OutputStream {
    /// Its name in events: `stdout` or `stderr`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}
