//! Cutting a stream into lines.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Room made in the buffer for each read: what a pipe holds by default (`pipe(7)`).
const READ_BYTES: usize = 64 * 1024;

/// A line, or a piece of one that is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The bytes as they came, line end included. They share the reader's buffer: whoever keeps
    /// them for long should copy them.
    pub bytes: Bytes,
    /// Whether these are all of the line's bytes. Pieces of a line that is longer than the limit
    /// follow each other, and their bytes are those of the line.
    pub whole: bool,
}

impl Line {
    /// The line without its end (`\n` or `\r\n`).
    pub fn content(&self) -> &[u8] {
        let line = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

/// Cuts what it is given into lines of at most `max_bytes`, line ends included.
#[derive(Debug)]
pub struct LineSplitter {
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line end, so that a long line is searched once.
    searched: usize,
    max_bytes: usize,
    /// Whether the buffer starts in the middle of a line whose earlier pieces are out.
    in_long_line: bool,
}

impl LineSplitter {
    /// Lines longer than `max_bytes` (at least 1) come in pieces.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            searched: 0,
            max_bytes: max_bytes.max(1),
            in_long_line: false,
        }
    }

    /// Where what is read next is to be appended.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next line that is complete, or piece that is full.
    pub fn take(&mut self) -> Option<Line> {
        let unsearched = &self.buffer[self.searched..];
        let end = memchr::memchr(b'\n', unsearched).map(|at| self.searched + at + 1);
        match end {
            Some(end) if end <= self.max_bytes => Some(self.cut(end, true)),
            _ if self.buffer.len() > self.max_bytes => Some(self.cut(self.max_bytes, false)),
            _ => {
                self.searched = self.buffer.len();
                None
            }
        }
    }

    /// The last line, when the stream has ended without a line end.
    pub fn finish(&mut self) -> Option<Line> {
        self.take()
            .or_else(|| (!self.buffer.is_empty()).then(|| self.cut(self.buffer.len(), true)))
    }

    fn cut(&mut self, end: usize, ends_line: bool) -> Line {
        self.searched = 0;
        let whole = ends_line && !self.in_long_line;
        self.in_long_line = !ends_line;
        Line {
            bytes: self.buffer.split_to(end).freeze(),
            whole,
        }
    }
}

/// A pipe as a sequence of lines.
///
/// Pulled: while nobody asks, nothing is read. Many lines come from one read; [`take`](Self::take)
/// gives them without waiting, [`next`](Self::next) reads on when there is none.
#[derive(Debug)]
pub struct LineReader<R> {
    pipe: Option<R>,
    splitter: LineSplitter,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Lines longer than `max_bytes` come in pieces.
    pub fn new(pipe: R, max_bytes: usize) -> Self {
        Self {
            pipe: Some(pipe),
            splitter: LineSplitter::new(max_bytes),
        }
    }

    /// The next line that has been read already.
    pub fn take(&mut self) -> Option<Line> {
        self.splitter.take()
    }

    /// What has been read and not given yet, of a pipe that is not read on: a line at a time.
    pub fn rest(&mut self) -> Option<Line> {
        self.splitter.finish()
    }

    /// The next line; `None` at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the pipe cannot be read. It counts as ended then; a further call gives what had been
    /// read before.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.splitter.take() {
                return Ok(Some(line));
            }
            let Some(pipe) = &mut self.pipe else {
                return Ok(self.splitter.finish());
            };
            let buffer = self.splitter.buffer();
            buffer.reserve(READ_BYTES);
            match pipe.read_buf(buffer).await {
                Ok(1..) => {}
                Ok(0) => self.pipe = None,
                Err(error) => {
                    self.pipe = None;
                    return Err(error);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(pieces: &[&[u8]], max_bytes: usize) -> Vec<(String, bool)> {
        let mut splitter = LineSplitter::new(max_bytes);
        let mut lines = Vec::new();
        for piece in pieces {
            splitter.buffer().extend_from_slice(piece);
            lines.extend(std::iter::from_fn(|| splitter.take()));
        }
        lines.extend(std::iter::from_fn(|| splitter.finish()));
        lines
            .into_iter()
            .map(|line| {
                (
                    String::from_utf8_lossy(&line.bytes).into_owned(),
                    line.whole,
                )
            })
            .collect()
    }

    fn whole(lines: &[&str]) -> Vec<(String, bool)> {
        lines
            .iter()
            .map(|line| ((*line).to_owned(), true))
            .collect()
    }

    #[test]
    fn lines_come_whole_however_they_are_read() {
        assert_eq!(
            split(&[b"a\nb", b"c\r\n", b"\nd"], 100),
            whole(&["a\n", "bc\r\n", "\n", "d"])
        );
        assert_eq!(split(&[], 100), whole(&[]));
    }

    #[test]
    fn a_line_over_the_limit_comes_in_pieces_and_the_next_one_whole() {
        let expected = [
            ("abcd", false),
            ("efgh", false),
            ("i\n", false),
            ("jkl\n", true),
        ];
        assert_eq!(
            split(&[b"abcdef", b"ghi\njkl\n"], 4),
            expected.map(|(text, whole)| (text.to_owned(), whole))
        );
    }

    #[test]
    fn a_line_of_just_the_limit_is_whole() {
        assert_eq!(split(&[b"abc\nabcd"], 4), whole(&["abc\n", "abcd"]));
    }

    #[test]
    fn the_content_is_the_line_without_its_end() {
        for (bytes, content) in [
            ("a\r\n", "a"),
            ("a\n", "a"),
            ("a", "a"),
            ("\n", ""),
            ("a\rb\n", "a\rb"),
        ] {
            let line = Line {
                bytes: Bytes::copy_from_slice(bytes.as_bytes()),
                whole: true,
            };
            assert_eq!(line.content(), content.as_bytes(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_and_no_line_too_long(
            pieces in prop::collection::vec("[ab\n]{0,12}", 0..8),
            max_bytes in 1_usize..9,
        ) {
            let bytes: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
            let lines = split(&bytes, max_bytes);
            prop_assert!(lines.iter().all(|(line, _)| (1..=max_bytes).contains(&line.len())));
            let joined: String = lines.into_iter().map(|(line, _)| line).collect();
            prop_assert_eq!(joined, pieces.concat());
        }
    }

    #[tokio::test]
    async fn a_pipe_is_read_to_its_last_line() {
        let mut reader = LineReader::new(&b"one\ntwo\nthree"[..], 100);
        let mut lines = Vec::new();
        while let Some(line) = reader.next().await.unwrap() {
            lines.push(line.content().to_vec());
        }
        assert_eq!(lines, [&b"one"[..], b"two", b"three"]);
    }
}
