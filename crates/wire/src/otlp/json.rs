//! OTLP in JSON (OTLP 1.x, "JSON Protobuf Encoding"): protobuf's JSON mapping, except that ids are
//! hexadecimal and enumerations are numbers.
//!
//! The reading here takes what senders really write: 64-bit numbers as text or number, `null` for an
//! absent field, names for enumeration values, base64 of either alphabet, `NaN` and infinities, empty
//! lists without their `values`, halves of surrogate pairs (they become U+FFFD), fields that it does not
//! know. An id that is no hexadecimal text costs its own span, not the request. The writing leaves out what has its default value.

use std::io::{self, Write};

use super::{DecodeError, ExportTraceServiceRequest, Item, to_request};
use crate::span::Span;

mod document;
mod fields;
mod read;
mod write;

pub use document::JsonDocument;

/// Reads a request in JSON.
///
/// # Errors
/// [`DecodeError::Json`] if the text is malformed, has a field of the wrong type, or is nested deeper
/// than 128 levels.
pub fn decode_json(json: &[u8]) -> Result<ExportTraceServiceRequest, DecodeError> {
    decode_json_counted(json, &|_| true)
}

/// Reads a request in JSON, and asks `take` for each item of its lists, before memory is set aside for it,
/// whether to go on.
///
/// # Errors
/// [`DecodeError::Json`] as [`decode_json`], or because `take` said no.
pub fn decode_json_counted(
    json: &[u8],
    take: &dyn Fn(Item) -> bool,
) -> Result<ExportTraceServiceRequest, DecodeError> {
    let mut from = serde_json::Deserializer::from_slice(json);
    let request = fields::Read::read(&mut from, take)?;
    from.end()?;
    Ok(request)
}

/// The request in JSON.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "no map here has keys that are not texts"
)]
pub fn encode_json(request: &ExportTraceServiceRequest) -> Vec<u8> {
    serde_json::to_vec(&write::Json(request)).expect("texts, numbers and lists are JSON")
}

/// How many spans are turned into OTLP's messages at once, and stand on a line.
const CHUNK: usize = 500;

/// Writes spans as lines, each of them a request in JSON ("OpenTelemetry Protocol File Exporter", JSON lines).
///
/// # Errors
/// What `out` says.
pub fn write_lines(spans: &[Span], out: &mut impl Write) -> io::Result<()> {
    for spans in spans.chunks(CHUNK) {
        serde_json::to_writer(&mut *out, &write::Json(&to_request(spans)))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
