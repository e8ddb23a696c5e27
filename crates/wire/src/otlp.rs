//! Spans as OpenTelemetry's protocol carries them: conversion between [`Span`] and the messages of
//! OTLP 1.x (`opentelemetry/proto/trace/v1/trace.proto`), in protobuf and in JSON.
//!
//! Nothing that a span says is lost on the way, in either direction:
//! - `sentry.op` is [`Span::op`], `hopline.pending` is [`Span::pending`], and the `event.*` keys are
//!   [`Span::event`], where they have the right types; with other types they stay attributes;
//! - what the protocol has and a span has no field for is kept in attributes with the names in
//!   [`kept`], and goes back into its field on the way out. (`entityRefs` of a resource, still in
//!   development there, is not kept.)
//!
//! What cannot be kept is refused and counted ([`Refused`]), span by span; a span whose end lies before
//! its start is kept as it came. Limits on the size of a whole request are the caller's: nesting alone is
//! bounded here, by both decoders.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

#[cfg(doc)]
use crate::span::Span;

mod from_request;
pub mod grpc;
mod json;
mod protobuf;
mod to_request;

#[cfg(test)]
mod tests;

pub use from_request::from_request;
pub(crate) use from_request::take_field;
pub use json::{JsonDocument, decode_json, decode_json_counted, encode_json, write_lines};
pub use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest,
};
pub use protobuf::decode_spans;
pub use to_request::to_request;

/// The attributes that hold what OTLP has a field for and [`Span`] has not.
pub mod kept {
    /// Of a span or a link: `flags`, a whole number.
    pub const FLAGS: &str = "otlp.flags";
    /// Of a link: its `traceState`.
    pub const LINK_TRACE_STATE: &str = "otlp.trace_state";
    /// Of a resource: its `schemaUrl`.
    pub const RESOURCE_SCHEMA: &str = "otlp.schema_url";
    /// Of a resource: the instrumentation scope's `schemaUrl`.
    pub const SCOPE_SCHEMA: &str = "otlp.scope.schema_url";
    /// Of a resource: the instrumentation scope's attributes, a map.
    pub const SCOPE_ATTRIBUTES: &str = "otlp.scope.attributes";
    /// Of a resource: the instrumentation scope's `droppedAttributesCount`.
    pub const SCOPE_DROPPED: &str = "otlp.scope.dropped_attributes_count";
    /// Of a span, event, link or resource: how many attributes its maker left out. This and the next two
    /// are the names that OpenTelemetry gives them in formats that are not its own.
    pub const DROPPED_ATTRIBUTES: &str = "otel.dropped_attributes_count";
    /// Of a span: how many events its maker left out.
    pub const DROPPED_EVENTS: &str = "otel.dropped_events_count";
    /// Of a span: how many links its maker left out.
    pub const DROPPED_LINKS: &str = "otel.dropped_links_count";
}

/// What the lists of a request hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// The spans of a resource, or of a scope.
    Group,
    /// A span.
    Span,
    /// An attribute, event, link, or a member of a list or a map.
    Part,
}

/// Why a span, or a link of it, could not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusedReason {
    /// The span's trace id is not 16 bytes, or all zero.
    TraceId,
    /// The span's own id is not 8 bytes, or all zero.
    SpanId,
    /// The id of the span's parent is neither absent nor 8 bytes.
    ParentId,
    /// The span is larger than the receiver takes.
    TooLarge,
    /// The attributes of its resource, repeated for each scope, come to more than is sound.
    Resource,
    /// The sender may send spans of another trace only.
    OtherTrace,
    /// A link's ids are malformed. The span was taken without that link.
    Link,
    /// The span is not written as its format says.
    Malformed,
    /// The time at which the span began or ended is none.
    Time,
}

impl RefusedReason {
    /// Whether the whole span was refused.
    #[must_use]
    pub const fn loses_span(self) -> bool {
        !matches!(self, Self::Link)
    }

    /// What the sender is told.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::TraceId => "a trace id is not 16 bytes, or all zero",
            Self::SpanId => "a span id is not 8 bytes, or all zero",
            Self::ParentId => "a parent span id is not 8 bytes",
            Self::TooLarge => "a span is too large",
            Self::Resource => "a resource with many attributes is repeated for too many scopes",
            Self::OtherTrace => "the key is for spans of another trace",
            Self::Link => "a link without valid ids was left out of its span",
            Self::Malformed => "a span is not written as its format says",
            Self::Time => "a time is neither seconds since 1970 nor ISO 8601",
        }
    }
}

/// How many spans (or links) were refused for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: RefusedReason,
    /// How many.
    pub count: u64,
}

impl Refused {
    /// Counts one more of `reason` in `all`, which holds each reason at most once.
    pub fn count_in(all: &mut Vec<Self>, reason: RefusedReason) {
        match all.iter_mut().find(|refused| refused.reason == reason) {
            Some(refused) => refused.count += 1,
            None => all.push(Self { reason, count: 1 }),
        }
    }
}

/// The answer to a request of which `refused` was not taken.
#[must_use]
pub fn response(refused: &[Refused]) -> ExportTraceServiceResponse {
    if refused.is_empty() {
        return ExportTraceServiceResponse::default();
    }
    let lost = refused.iter().filter(|refused| refused.reason.loses_span());
    let lost: u64 = lost.map(|refused| refused.count).sum();
    let told: Vec<_> = refused
        .iter()
        .map(|refused| format!("{} ({})", refused.reason.message(), refused.count))
        .collect();
    ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: i64::try_from(lost).unwrap_or(i64::MAX),
            error_message: told.join("; "),
        }),
    }
}

/// How many spans of a request were not taken, by its answer in protobuf, and why. An answer that cannot be read says
/// nothing of that.
#[must_use]
pub fn rejected(answer: &[u8]) -> Option<(u64, String)> {
    let answer = ExportTraceServiceResponse::decode(answer).ok()?;
    let partial = answer.partial_success?;
    let count = u64::try_from(partial.rejected_spans).unwrap_or(0);
    (count > 0).then_some((count, partial.error_message))
}

/// Why bytes are no request.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// They are no protobuf message of this type.
    #[error("read the spans: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// Likewise.
    #[error("read the spans: {0}")]
    Malformed(&'static str),
    /// They are no JSON of this form.
    #[error("read the spans: {0}")]
    Json(#[from] serde_json::Error),
}

/// The request in protobuf.
#[must_use]
pub fn encode(request: &ExportTraceServiceRequest) -> Vec<u8> {
    request.encode_to_vec()
}

/// Reads a request in protobuf.
///
/// # Errors
/// [`DecodeError::Protobuf`] if the bytes are malformed or nested deeper than 100 messages.
pub fn decode(bytes: &[u8]) -> Result<ExportTraceServiceRequest, DecodeError> {
    Ok(ExportTraceServiceRequest::decode(bytes)?)
}
