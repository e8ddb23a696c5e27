//! Spans that other programs send: the bodies of OTLP/HTTP (OpenTelemetry Protocol 1.x, section "OTLP/HTTP") and
//! Sentry's envelopes, read within bounds, and the answers to them.
//!
//! Nothing here knows HTTP: content type, encoding and body come in, spans or an error with its status go
//! out. What is bounded: the body as it came, the body decompressed (while it is), the number of spans and
//! of their parts and the memory that all takes (before it is set aside), and each single span.

use hopline_wire::otlp::{self, DecodeError, ExportTraceServiceRequest, Refused, RefusedReason};
use hopline_wire::span::Span;
use hopline_wire::text;
use prost::Message;

mod clocks;
mod envelope;
mod measure;
mod unpack;

pub use clocks::{CLOCK, mark_clocks};
pub use envelope::{Received, decode_envelope, envelope_header};
use measure::Counted;
use unpack::{Encoding, unpack};

#[cfg(test)]
mod envelope_tests;
#[cfg(test)]
mod tests;

/// How much a request may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The body as it came, in bytes.
    pub compressed_bytes: usize,
    /// The body decompressed, in bytes.
    pub bytes: usize,
    /// One span, in bytes of protobuf. A larger one is refused alone.
    pub span_bytes: usize,
    /// The spans, and the groups that they come in.
    pub spans: usize,
    /// The attributes, events, links and list items, all together.
    pub parts: usize,
    /// What all of it takes in memory while it is decoded, beside the body as it came: about so many bytes.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            compressed_bytes: 20 << 20,
            bytes: 100 << 20,
            span_bytes: 1 << 20,
            spans: 100_000,
            parts: 1_000_000,
            memory: 200 << 20,
        }
    }
}

/// The two encodings of OTLP/HTTP. A request is answered in its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Binary protobuf.
    Protobuf,
    /// JSON.
    Json,
}

impl Format {
    /// The format of a `Content-Type` value; parameters such as `charset` are passed over.
    #[must_use]
    pub fn of_content_type(value: &str) -> Option<Self> {
        let essence = value.split(';').next().unwrap_or_default().trim();
        let is = |name: &str| essence.eq_ignore_ascii_case(name);
        if is("application/x-protobuf") || is("application/protobuf") {
            Some(Self::Protobuf)
        } else if is("application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }

    /// The `Content-Type` of an answer.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// What a request held.
#[derive(Debug)]
pub struct Decoded {
    /// The spans that can be stored.
    pub spans: Vec<Span>,
    /// What was refused, each reason once.
    pub refused: Vec<Refused>,
    /// The format to answer in.
    pub format: Format,
}

/// Why a request is refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The content type is neither of OTLP's.
    #[error("the content type must be application/x-protobuf or application/json")]
    ContentType,
    /// The content encoding is not understood.
    #[error("the content encoding must be gzip, deflate, br or zstd, or none")]
    ContentEncoding,
    /// The body is larger than is taken.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The limit that it exceeds.
        limit: usize,
    },
    /// The body holds more than is taken at once.
    #[error("the body holds more than {limit} {what}; send it in several requests")]
    TooMany {
        /// What it holds too many of.
        what: &'static str,
        /// The limit that they exceed.
        limit: usize,
    },
    /// The body takes more memory than one may.
    #[error("the body takes more than {limit} bytes of memory; send it in several requests")]
    TooMuch {
        /// The limit that it exceeds.
        limit: usize,
    },
    /// Others have the memory just now.
    #[error("others send many spans just now: try again")]
    NoRoom,
    /// The body is not in the encoding that it is said to be in.
    #[error("the body is not in its content encoding: {0}")]
    Encoding(#[source] std::io::Error),
    /// The body is no request.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The body is no envelope.
    #[error("{0}")]
    Envelope(String),
}

impl IngestError {
    /// The HTTP status that says the same. None of these is worth another try, but for 429.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::ContentType | Self::ContentEncoding => 415,
            Self::TooLarge { .. } | Self::TooMany { .. } | Self::TooMuch { .. } => 413,
            Self::NoRoom => 429,
            Self::Encoding(_) | Self::Malformed(_) | Self::Envelope(_) => 400,
        }
    }

    /// A word for the error that programs can go by.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ContentType => "unsupported_content_type",
            Self::ContentEncoding => "unsupported_content_encoding",
            Self::TooLarge { .. } | Self::TooMany { .. } | Self::TooMuch { .. } => "too_large",
            Self::NoRoom => "overloaded",
            Self::Encoding(_) | Self::Malformed(_) | Self::Envelope(_) => "malformed",
        }
    }
}

/// Reads the body of a `POST /v1/traces`, with the values of its `Content-Type` and `Content-Encoding`.
///
/// `room` is asked, before memory is set aside, whether so many bytes more may be; whoever calls knows what
/// others take at the same time. What it was asked for is free once the spans are gone.
///
/// # Errors
/// If nothing of it can be taken.
pub fn decode_otlp(
    content_type: Option<&str>,
    content_encoding: Option<&str>,
    body: &[u8],
    limits: &Limits,
    room: &dyn Fn(usize) -> bool,
) -> Result<Decoded, IngestError> {
    let format = content_type
        .and_then(Format::of_content_type)
        .ok_or(IngestError::ContentType)?;
    let encoding = Encoding::named(content_encoding).ok_or(IngestError::ContentEncoding)?;
    if body.len() > limits.compressed_bytes {
        let limit = limits.compressed_bytes;
        return Err(IngestError::TooLarge { limit });
    }
    let counted = Counted::new(limits, room);
    let body = unpack(body, encoding, limits.bytes, &counted)?;
    let mut spans = Vec::new();
    let refused = match format {
        Format::Protobuf => counted.protobuf(&body, &mut spans)?,
        Format::Json => {
            let mut request = counted.json(&body)?;
            let too_large = match body.len() > limits.span_bytes {
                true => remove_large(&mut request, limits.span_bytes),
                false => 0,
            };
            let mut refused = otlp::from_request(request, &mut spans);
            for _ in 0..too_large {
                Refused::count_in(&mut refused, RefusedReason::TooLarge);
            }
            refused
        }
    };
    Ok(Decoded {
        spans,
        refused,
        format,
    })
}

/// Removes the spans that are larger than `limit`, and says how many they were.
fn remove_large(request: &mut ExportTraceServiceRequest, limit: usize) -> usize {
    let mut removed = 0;
    let groups = request.resource_spans.iter_mut();
    for scope in groups.flat_map(|group| &mut group.scope_spans) {
        let before = scope.spans.len();
        scope.spans.retain(|span| span.encoded_len() <= limit);
        removed += before - scope.spans.len();
    }
    removed
}

/// The body of the answer (status 200) to a request of which all but `refused` was stored.
#[must_use]
pub fn response(format: Format, refused: &[Refused]) -> Vec<u8> {
    let response = otlp::response(refused);
    match (format, &response.partial_success) {
        (Format::Protobuf, _) => response.encode_to_vec(),
        (Format::Json, None) => b"{}".to_vec(),
        (Format::Json, Some(partial)) => {
            let told = serde_json::json!({ "partialSuccess": {
                // A 64-bit number, hence a text.
                "rejectedSpans": partial.rejected_spans.to_string(),
                "errorMessage": partial.error_message,
            }});
            told.to_string().into_bytes()
        }
    }
}

/// The body of the answer to a request that was refused as a whole, or that could not be stored: a
/// `google.rpc.Status`, as OTLP/HTTP asks for, with the message alone, at most 1 KiB of it: some quote
/// what the sender wrote.
#[must_use]
pub fn error_response(format: Format, message: &str) -> Vec<u8> {
    let message = text::prefix(message, 1_024);
    match format {
        Format::Protobuf => {
            // Field 2, a text.
            let mut bytes = vec![2 << 3 | 2];
            prost::encoding::encode_varint(message.len() as u64, &mut bytes);
            bytes.extend_from_slice(message.as_bytes());
            bytes
        }
        Format::Json => serde_json::json!({ "message": message })
            .to_string()
            .into_bytes(),
    }
}
