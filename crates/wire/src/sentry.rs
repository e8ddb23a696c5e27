//! What Sentry's SDKs send: envelopes, and the spans, errors and logs in them (Sentry's developer documentation,
//! "Envelopes", "Envelope Items" and "Span Protocol").
//!
//! [`envelope`] takes an envelope apart without looking into its items; [`spans`] reads those that hold spans and
//! [`notes`] errors and logs. All become [`Span`]s: what the formats say is kept, and what one
//! of them holds that cannot be kept is refused and counted alone.

pub mod envelope;
mod fields;
pub mod notes;
pub mod spans;
pub mod write;

#[cfg(test)]
mod tests;

pub use envelope::{Envelope, Header, Item, Malformed};

use crate::otlp::{Refused, RefusedReason};
use crate::span::Span;

/// The attributes that hold what Sentry has a field for and [`Span`] has not.
pub mod kept {
    /// Whether the span is the root of its process's part of the trace (`is_segment`).
    pub const IS_SEGMENT: &str = "sentry.is_segment";
    /// The status, where it is neither success nor failure: `cancelled`, `unknown`.
    pub const STATUS: &str = "sentry.status";
    /// How a failed span failed, in the second version of spans.
    pub const STATUS_MESSAGE: &str = "sentry.status.message";
    /// Which integration made the span (`origin`).
    pub const ORIGIN: &str = "sentry.origin";
    /// The span's kind, by its name.
    pub const KIND: &str = "sentry.kind";
    /// What happened within the span (`write`), which the format has no place for.
    pub const EVENTS: &str = "hopline.events";
    /// `tracestate` (W3C), likewise.
    pub const TRACE_STATE: &str = "hopline.trace_state";
    /// The span's op. A span's own field ([`crate::span::Span::op`]).
    pub const OP: &str = "sentry.op";
    /// How many of such spans there were for each one that was kept, as `1 / rate` (`sample_rate` of the trace).
    pub const SAMPLE_RATE: &str = "sentry.sample_rate";
    /// Whether a link leads to a sampled span.
    pub const LINK_SAMPLED: &str = "sentry.link.sampled";
    /// The release, the environment and the transaction that a span belongs to.
    pub const RELEASE: &str = "sentry.release";
    /// See [`RELEASE`].
    pub const ENVIRONMENT: &str = "sentry.environment";
    /// See [`RELEASE`].
    pub const TRANSACTION: &str = "sentry.transaction";
    /// How the transaction got its name: `route`, `url`, `custom`, …
    pub const SOURCE: &str = "sentry.source";
    /// The platform that an event came from.
    pub const PLATFORM: &str = "sentry.platform";
    /// The name of a machine.
    pub const SERVER: &str = "server.address";
    /// What a record is that is no span: `event` or `log`. It takes no time, and is counted with no spans.
    pub const RECORD: &str = "hopline.record";
}

/// What is read of one item, or of many.
#[derive(Debug, Default)]
pub struct Taken {
    /// The spans.
    pub spans: Vec<Span>,
    /// What was not taken, each reason once.
    pub refused: Vec<Refused>,
}

impl Taken {
    fn put(&mut self, read: Result<Span, RefusedReason>) {
        match read {
            Ok(span) => self.spans.push(span),
            Err(reason) => Refused::count_in(&mut self.refused, reason),
        }
    }
}

/// Asked before a span is kept: how many parts (attributes, links) it has. False if there is no room for it, which ends
/// the reading.
pub type Room<'a> = &'a dyn Fn(usize) -> bool;

/// Why an item was not read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ItemError {
    /// The payload is not what its item says.
    #[error("read the item: {0}")]
    Json(#[from] serde_json::Error),
    /// There was no room for what it holds.
    #[error("read the item: no room for what it holds")]
    NoRoom,
}
