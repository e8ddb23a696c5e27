//! Spans in Parquet files of the user's own, where this program has been built with columns (the feature `query`).

#[cfg(feature = "query")]
pub(crate) use with::{read, writer};
#[cfg(not(feature = "query"))]
pub(crate) use without::{read, writer};

#[cfg(feature = "query")]
mod with {
    use std::io::{self, Write};
    use std::ops::ControlFlow;
    use std::path::Path;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::thread::JoinHandle;

    use anyhow::Context as _;
    use hopline_traces::TracesError;
    use hopline_wire::otlp::{decode_json, from_request};
    use hopline_wire::span::Span;

    use crate::exit::{self, Failure};

    /// How many lines' spans may wait to be written.
    const WAITING: usize = 4;

    /// Spans on their way to the file, or why no more come.
    type Batch = Result<Vec<Span>, TracesError>;

    /// Takes lines of OTLP in JSON.
    pub(crate) struct Lines {
        line: Vec<u8>,
        spans: SyncSender<Batch>,
    }

    /// Makes the file of them.
    pub(crate) struct Writing(JoinHandle<Result<u64, TracesError>>);

    /// Makes a Parquet file of lines of OTLP.
    pub(crate) fn writer(path: &Path) -> anyhow::Result<(Lines, Writing)> {
        let (spans, batches): (_, Receiver<Batch>) = sync_channel(WAITING);
        let path = path.to_owned();
        let thread = std::thread::Builder::new().name("hopline-export".into());
        let write = move || hopline_columns::write_file(&path, batches.into_iter());
        let thread = thread.spawn(write).context("start a thread")?;
        let line = Vec::new();
        Ok((Lines { line, spans }, Writing(thread)))
    }

    impl Lines {
        fn hand_on(&mut self) -> io::Result<()> {
            let line = std::mem::take(&mut self.line);
            let request = decode_json(&line).map_err(io::Error::other)?;
            let mut spans = Vec::new();
            // These were stored: none is refused.
            from_request(request, &mut spans);
            let gone = |_| io::Error::other("the Parquet file is not written any further");
            self.spans.send(Ok(spans)).map_err(gone)
        }

        /// Says that all lines have come. Answers whether anyone hears it, as does the next.
        pub(crate) fn end(self) -> bool {
            self.spans.send(Ok(Vec::new())).is_ok()
        }

        /// Says that no more come, so that the file is thrown away.
        pub(crate) fn abandon(self) -> bool {
            let told = io::Error::other("the spans could not be read to their end");
            let broken = TracesError::io("export", std::path::PathBuf::new(), told);
            self.spans.send(Err(broken)).is_ok()
        }
    }

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut rest = bytes;
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                self.line.extend_from_slice(&rest[..end]);
                self.hand_on()?;
                rest = &rest[end + 1..];
            }
            self.line.extend_from_slice(rest);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Writing {
        /// How many spans the file has, once it is written.
        pub(crate) fn finish(self) -> anyhow::Result<u64> {
            let written = self.0.join();
            let written = written.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            written.map_err(|error| told(exit::CANNOT_WRITE, &error))
        }
    }

    /// Shows the spans of a file.
    pub(crate) fn read(
        path: &Path,
        take: &mut dyn FnMut(Vec<Span>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut taken = Ok(());
        hopline_columns::read_file(path, &mut |spans| {
            taken = take(spans);
            match taken {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })
        .map_err(|error| told(exit::USAGE, &error))?;
        taken
    }

    /// The error in words, which have its cause in them.
    fn told(code: u8, error: &TracesError) -> anyhow::Error {
        Failure::new(code, error.to_string()).into()
    }
}

#[cfg(not(feature = "query"))]
mod without {
    use std::io;
    use std::path::Path;

    use hopline_wire::span::Span;

    use crate::exit::{self, Failure};

    /// What there is not.
    pub(crate) struct Writing;

    impl Writing {
        /// Never asked.
        #[expect(
            clippy::unnecessary_wraps,
            clippy::unused_self,
            reason = "as with columns"
        )]
        pub(crate) fn finish(self) -> anyhow::Result<u64> {
            Ok(0)
        }
    }

    fn without<T>() -> anyhow::Result<T> {
        let told = "this Hopline was built without Parquet (the feature `query`)";
        Err(Failure::new(exit::INTERNAL, told).into())
    }

    /// Fails.
    pub(crate) fn writer(_path: &Path) -> anyhow::Result<(Lines, Writing)> {
        without()
    }

    /// Fails.
    pub(crate) fn read(
        _path: &Path,
        _take: &mut dyn FnMut(Vec<Span>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        without()
    }

    /// What there is not.
    pub(crate) struct Lines(io::Sink);

    impl Lines {
        /// Never asked.
        #[expect(clippy::unused_self, reason = "as with columns")]
        pub(crate) fn end(self) -> bool {
            false
        }

        /// Likewise.
        #[expect(clippy::unused_self, reason = "as with columns")]
        pub(crate) fn abandon(self) -> bool {
            false
        }
    }

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
