//! Reading two pipes into chunks.

use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Chunk, ChunkLimits, Coalescer, OutputStream};

/// The most that is taken out of a pipe at once.
const READ_BYTES: usize = 16 * 1024;

/// One of the pipes, until its end.
struct Source<R> {
    pipe: Option<R>,
    buffer: Box<[u8]>,
}

impl<R: AsyncRead + Unpin> Source<R> {
    fn new(pipe: Option<R>) -> Self {
        // Allocated only where there is something to read.
        let size = if pipe.is_some() { READ_BYTES } else { 0 };
        Self {
            pipe,
            buffer: vec![0; size].into(),
        }
    }

    /// Reads once; pends for ever after the end. Dropping the future loses nothing.
    async fn read(&mut self) -> io::Result<usize> {
        match &mut self.pipe {
            Some(pipe) => pipe.read(&mut self.buffer).await,
            None => std::future::pending().await,
        }
    }
}

/// A program's two outputs as a sequence of chunks.
///
/// Pulled by [`next`](Self::next): while nobody asks, nothing is read.
pub struct OutputReader<O, E> {
    stdout: Source<O>,
    stderr: Source<E>,
    coalescer: Coalescer,
    /// Runs while the coalescer has a deadline; kept, so that a read does not make a timer each.
    timer: Pin<Box<Sleep>>,
}

/// What [`OutputReader::next`] waits for.
enum Ready {
    Read(OutputStream, io::Result<usize>),
    Due,
}

impl<O: AsyncRead + Unpin, E: AsyncRead + Unpin> OutputReader<O, E> {
    /// Reads from the pipes given; `None` stands for one that somebody else reads.
    pub fn new(stdout: Option<O>, stderr: Option<E>, limits: ChunkLimits) -> Self {
        Self {
            stdout: Source::new(stdout),
            stderr: Source::new(stderr),
            coalescer: Coalescer::new(limits),
            timer: Box::pin(sleep_until(Instant::now())),
        }
    }

    /// The next chunk; `None` when both pipes have ended. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When a pipe cannot be read. That pipe counts as ended then; the call may be repeated for the
    /// rest.
    pub async fn next(&mut self) -> io::Result<Option<Chunk>> {
        loop {
            if let Some(chunk) = self.coalescer.take() {
                return Ok(Some(chunk));
            }
            if self.stdout.pipe.is_none() && self.stderr.pipe.is_none() {
                self.coalescer.flush();
                return Ok(self.coalescer.take());
            }
            match self.ready().await {
                Ready::Due => self.coalescer.flush(),
                Ready::Read(stream, read) => self.take_in(stream, read)?,
            }
        }
    }

    /// What has been read and not given yet, of pipes that are not read on: a chunk at a time.
    pub fn rest(&mut self) -> Option<Chunk> {
        self.coalescer.flush();
        self.coalescer.take()
    }

    async fn ready(&mut self) -> Ready {
        let deadline = self.coalescer.deadline();
        if let Some(deadline) = deadline.filter(|deadline| *deadline != self.timer.deadline()) {
            self.timer.as_mut().reset(deadline);
        }
        // In no fixed order: a flood on one pipe must not starve the other.
        tokio::select! {
            read = self.stdout.read() => Ready::Read(OutputStream::Stdout, read),
            read = self.stderr.read() => Ready::Read(OutputStream::Stderr, read),
            () = &mut self.timer, if deadline.is_some() => Ready::Due,
        }
    }

    fn take_in(&mut self, stream: OutputStream, read: io::Result<usize>) -> io::Result<()> {
        if let Ok(count @ 1..) = read {
            let bytes = match stream {
                OutputStream::Stdout => &self.stdout.buffer[..count],
                OutputStream::Stderr => &self.stderr.buffer[..count],
            };
            self.coalescer.push(stream, bytes, Instant::now());
            return Ok(());
        }
        match stream {
            OutputStream::Stdout => self.stdout.pipe = None,
            OutputStream::Stderr => self.stderr.pipe = None,
        }
        self.coalescer.finish(stream);
        read.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt as _;
    use tokio::io::duplex;

    use super::*;

    fn limits(max_bytes: usize) -> ChunkLimits {
        ChunkLimits {
            max_bytes,
            max_wait: Duration::from_millis(50),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn writes_close_together_make_one_chunk_and_a_pause_ends_it() {
        let (mut out, stdout) = duplex(1024);
        let mut reader = OutputReader::new(Some(stdout), None::<tokio::io::Empty>, limits(100));
        let writer = tokio::spawn(async move {
            out.write_all(b"one ").await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            out.write_all(b"two").await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            out.write_all(b"three").await.unwrap();
        });
        let mut chunks = Vec::new();
        while let Some(chunk) = reader.next().await.unwrap() {
            chunks.push(chunk.text);
        }
        writer.await.unwrap();
        assert_eq!(chunks, ["one two", "three"]);
    }

    #[tokio::test(start_paused = true)]
    async fn both_outputs_come_through_whole() {
        let (mut out, stdout) = duplex(7);
        let (mut err, stderr) = duplex(7);
        let text = "línea €\n".repeat(200);
        let (to_out, to_err) = (text.clone(), text.clone());
        tokio::spawn(async move { out.write_all(to_out.as_bytes()).await.unwrap() });
        tokio::spawn(async move { err.write_all(to_err.as_bytes()).await.unwrap() });
        let mut reader = OutputReader::new(Some(stdout), Some(stderr), limits(64));
        let (mut got_out, mut got_err) = (String::new(), String::new());
        while let Some(chunk) = reader.next().await.unwrap() {
            assert!((1..=64).contains(&chunk.text.len()));
            match chunk.stream {
                OutputStream::Stdout => got_out.push_str(&chunk.text),
                OutputStream::Stderr => got_err.push_str(&chunk.text),
            }
        }
        assert_eq!((got_out, got_err), (text.clone(), text));
    }

    #[tokio::test(start_paused = true)]
    async fn while_nobody_asks_the_writer_is_held() {
        let (mut out, stdout) = duplex(8);
        let mut reader = OutputReader::new(Some(stdout), None::<tokio::io::Empty>, limits(4));
        let mut writer = tokio::spawn(async move { out.write_all(&[b'x'; 64]).await });
        assert_eq!(reader.next().await.unwrap().unwrap().text.len(), 4);
        let held = tokio::time::timeout(Duration::from_secs(60), &mut writer).await;
        assert!(
            held.is_err(),
            "the writer has written more than was asked for"
        );
        while reader.next().await.unwrap().is_some() {}
        writer.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_call_loses_nothing() {
        let (mut out, stdout) = duplex(64);
        let mut reader = OutputReader::new(Some(stdout), None::<tokio::io::Empty>, limits(100));
        out.write_all(b"kept").await.unwrap();
        let cut = tokio::time::timeout(Duration::from_millis(10), reader.next()).await;
        assert!(cut.is_err());
        drop(out);
        assert_eq!(reader.next().await.unwrap().unwrap().text, "kept");
    }
}
