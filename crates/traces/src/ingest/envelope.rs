//! Sentry's envelopes: what is taken of each of their items.

use std::collections::BTreeMap;

use hopline_wire::Timestamp;
use hopline_wire::otlp::{Item, Refused, RefusedReason};
use hopline_wire::sentry::spans::{self, Source};
use hopline_wire::sentry::{Envelope, Header, ItemError, Taken, notes};
use hopline_wire::span::Span;

use super::measure::Counted;
use super::unpack::{Encoding, first_line, unpack};
use super::{IngestError, Limits};

/// How long an envelope's header may be, in bytes.
const HEADER_BYTES: usize = 64 << 10;

/// The most mistakes that are told of one envelope.
const TOLD: usize = 16;

/// The kinds of items that are counted by name; all others are `other`.
const ITEM_KINDS: [&str; 16] = [
    "attachment",
    "check_in",
    "client_report",
    "event",
    "feedback",
    "log",
    "profile",
    "profile_chunk",
    "replay_event",
    "replay_recording",
    "session",
    "sessions",
    "span",
    "statsd",
    "trace_metric",
    "transaction",
];

fn known_kind(kind: &str) -> &'static str {
    let known = ITEM_KINDS.into_iter().find(|known| *known == kind);
    known.unwrap_or("other")
}

/// What an envelope held.
#[derive(Debug, Default)]
pub struct Received {
    /// The event's id that the envelope names.
    pub event_id: Option<String>,
    /// Spans, errors and logs.
    pub spans: Vec<Span>,
    /// What was refused, each reason once.
    pub refused: Vec<Refused>,
    /// How many items of each kind (by the names that Sentry has for them, or `other`) there were, those included that are only counted.
    pub items: BTreeMap<&'static str, u64>,
    /// What the client says it could not send: how many, by reason and category.
    pub lost_by_client: Vec<(String, String, u64)>,
    /// Where the envelope, or one of its items, is not what it should be. Everything else was taken.
    pub malformed: Vec<String>,
}

/// The envelope's header alone, before anything else of it is looked at; none if it is not there, or long.
#[must_use]
pub fn envelope_header(content_encoding: Option<&str>, body: &[u8]) -> Option<Header> {
    let line = first_line(body, Encoding::named(content_encoding)?, HEADER_BYTES)?;
    Envelope::read(&line).ok().map(|envelope| envelope.header)
}

/// Reads the body of a `POST /api/{project}/envelope/`, with the value of its `Content-Encoding`. `service` is what
/// the sender's key stands for. `room` as for [`super::decode_otlp`].
///
/// # Errors
/// If nothing of it can be taken. What is wrong with single items is told in [`Received`].
pub fn decode_envelope(
    content_encoding: Option<&str>,
    body: &[u8],
    service: Option<&str>,
    limits: &Limits,
    room: &dyn Fn(usize) -> bool,
) -> Result<Received, IngestError> {
    let encoding = Encoding::named(content_encoding).ok_or(IngestError::ContentEncoding)?;
    if body.len() > limits.compressed_bytes {
        let limit = limits.compressed_bytes;
        return Err(IngestError::TooLarge { limit });
    }
    let counted = Counted::new(limits, room);
    let body = unpack(body, encoding, limits.bytes, &counted)?;
    // The texts of what is made of it.
    counted.memory(body.len())?;
    if memchr::memchr(b'\n', &body).unwrap_or(body.len()) > HEADER_BYTES {
        let told = format!("the envelope's header is longer than {HEADER_BYTES} bytes");
        return Err(IngestError::Envelope(told));
    }
    let envelope =
        Envelope::read(&body).map_err(|error| IngestError::Envelope(error.to_string()))?;
    let source = Source {
        header: &envelope.header,
        service,
        received: Timestamp::now(),
        span_bytes: limits.span_bytes,
    };
    let refusal = std::cell::RefCell::new(None);
    let take = |parts: usize| {
        let asked = counted.item(Item::Span);
        let asked = asked.and_then(|()| (0..parts).try_for_each(|_| counted.item(Item::Part)));
        let refused = asked.err();
        let enough = refused.is_none();
        *refusal.borrow_mut() = refused;
        enough
    };
    let mut received = Received {
        event_id: envelope.header.event_id.clone(),
        ..Received::default()
    };
    let mut taken = Taken::default();
    for (at, item) in envelope.items().enumerate() {
        let item = match item {
            Ok(item) => item,
            Err(error) => {
                received.malformed.push(error.to_string());
                break;
            }
        };
        let kind = item.header.kind.as_str();
        *received.items.entry(known_kind(kind)).or_default() += 1;
        let read = if spans::holds_spans(kind) {
            spans::read(&item, &source, &take, &mut taken)
        } else if notes::holds_notes(kind) {
            notes::read(&item, &source, &take, &mut taken)
        } else if kind == "client_report" {
            spans::lost_by_client(item.payload)
                .map(|lost| received.lost_by_client.extend(lost))
                .map_err(ItemError::Json)
        } else {
            // Attachments, sessions, profiles and what is to come: counted.
            Ok(())
        };
        match read {
            Ok(()) => {}
            // Whoever sends it again sends all of it again: so none of it is taken now.
            Err(ItemError::NoRoom) => return Err(refusal.take().unwrap_or(IngestError::NoRoom)),
            Err(ItemError::Json(error)) => {
                if received.malformed.len() < TOLD {
                    let (number, kind) = (at + 1, known_kind(kind));
                    received
                        .malformed
                        .push(format!("item {number} ({kind}): {error}"));
                }
                Refused::count_in(&mut taken.refused, RefusedReason::Malformed);
            }
        }
    }
    received.spans = taken.spans;
    received.refused = taken.refused;
    Ok(received)
}
