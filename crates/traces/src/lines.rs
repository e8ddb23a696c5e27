//! All spans of a store as lines of OTLP in JSON, for whoever takes them elsewhere.

use std::io::{self, Write};
use std::ops::{ControlFlow, Range};

use hopline_wire::Timestamp;
use hopline_wire::otlp;
use hopline_wire::span::Span;

use crate::store::{TraceStore, TracesError};

/// Why lines were not written, or not to their end.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    /// The spans could not be read.
    #[error(transparent)]
    Store(#[from] TracesError),
    /// They could not be written.
    #[error("write spans: {0}")]
    Write(#[from] io::Error),
}

/// Writes the spans that began within this time, each line a request of some hundreds
/// ([`otlp::write_lines`]), as [`TraceStore::for_all`] shows them.
///
/// # Errors
/// If they cannot be read, or what `out` says.
pub fn write_spans(
    store: &dyn TraceStore,
    began: &Range<Timestamp>,
    out: &mut impl Write,
) -> Result<(), LinesError> {
    let mut written = Ok(());
    store.for_all(&mut |spans| {
        written = match spans.iter().all(|span| began.contains(&span.start)) {
            true => otlp::write_lines(spans, out),
            false => {
                let chosen = spans.iter().filter(|span| began.contains(&span.start));
                otlp::write_lines(&chosen.cloned().collect::<Vec<Span>>(), out)
            }
        };
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })?;
    Ok(written?)
}
