//! OTLP in JSON (OTLP 1.x, "JSON Protobuf Encoding"): protobuf's JSON mapping, except that ids are
//! hexadecimal and enumerations are numbers.
//!
//! The reading here takes what senders really write: 64-bit numbers as text or number, `null` for an
//! absent field, names for enumeration values, base64 of either alphabet, `NaN` and infinities, empty
//! lists without their `values`, fields that it does not know. An id that is no hexadecimal text costs
//! its own span, not the request. The writing leaves out what has its default value.

use super::{DecodeError, ExportTraceServiceRequest};

mod document;
mod read;
mod write;

pub use document::JsonDocument;

/// Reads a request in JSON.
///
/// # Errors
/// [`DecodeError::Json`] if the text is malformed, has a field of the wrong type, or is nested deeper
/// than 128 levels.
pub fn decode_json(json: &[u8]) -> Result<ExportTraceServiceRequest, DecodeError> {
    let request: read::Request = serde_json::from_slice(json)?;
    Ok(request.into())
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
