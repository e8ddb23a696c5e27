//! One document in JSON, written request by request, for exports that are larger than memory.

use std::io::{self, Write};

use super::super::{ExportTraceServiceRequest, to_request};
use super::CHUNK;
use super::write::Json;
use crate::span::Span;

/// Writes many requests as the one that they would make together: `{"resourceSpans":[...]}`.
///
/// The document is whole only after [`Self::finish`]. A resource may come more than once in it, as OTLP
/// allows.
pub struct JsonDocument<W> {
    out: W,
    is_first: bool,
}

impl<W: Write> JsonDocument<W> {
    /// Begins a document.
    ///
    /// # Errors
    /// As `out` has them; here and below.
    pub fn begin(mut out: W) -> io::Result<Self> {
        out.write_all(b"{\"resourceSpans\":[")?;
        Ok(Self {
            out,
            is_first: true,
        })
    }

    /// Appends what a request holds.
    ///
    /// # Errors
    /// As `out` has them.
    pub fn add(&mut self, request: &ExportTraceServiceRequest) -> io::Result<()> {
        for resource in &request.resource_spans {
            if !std::mem::take(&mut self.is_first) {
                self.out.write_all(b",")?;
            }
            serde_json::to_writer(&mut self.out, &Json(resource))?;
        }
        Ok(())
    }

    /// Appends spans, some hundreds at a time.
    ///
    /// # Errors
    /// As `out` has them.
    pub fn add_spans(&mut self, spans: &[Span]) -> io::Result<()> {
        let mut chunks = spans.chunks(CHUNK);
        chunks.try_for_each(|spans| self.add(&to_request(spans)))
    }

    /// Ends the document, and gives back what it was written to.
    ///
    /// # Errors
    /// As `out` has them.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(b"]}")?;
        Ok(self.out)
    }
}
