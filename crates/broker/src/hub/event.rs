//! One event while the broker holds it, and the connection it came on.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use hopline_telemetry::TraceContext;
use hopline_wire::carrier::{BadCarrier, CarrierRef};
use hopline_wire::event::{EventHead, EventType};
use hopline_wire::span::Text;
use hopline_wire::{SentryTrace, SpanId, Timestamp, TraceId};
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

/// One life of a runner's link.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The runner.
    pub runner: Arc<str>,
    /// What tells this connection from all others: a UUID.
    pub id: String,
    /// The hash of the token that the runner has shown, if it was not the shared secret: then it may speak for its own
    /// commands alone.
    pub token: Option<String>,
    /// What an event of this connection ends with, up to its number: the members `runnerId`, `runnerBound` where it is
    /// set, `link` and `linkSeq` in JSON.
    pub tail: String,
}

impl Connection {
    /// A new connection of this runner, by a token of that hash or by the shared secret.
    pub(crate) fn new(runner: Arc<str>, token: Option<String>) -> Self {
        let id = uuid::Uuid::new_v4().to_string();
        let mut tail = b",\"runnerId\":".to_vec();
        hopline_wire::event::write_string(&runner, &mut tail);
        if token.is_some() {
            tail.extend_from_slice(b",\"runnerBound\":true");
        }
        tail.extend_from_slice(format!(",\"link\":\"{id}\",\"linkSeq\":").as_bytes());
        Self {
            runner,
            id,
            token,
            tail: String::from_utf8(tail).unwrap_or_default(),
        }
    }
}

/// An event of a frame, read as far as the broker needs it. Borrows from the frame.
pub(crate) struct Arrival<'a> {
    pub(crate) json: &'a Bytes,
    pub(crate) kind: Cow<'a, str>,
    pub(crate) command: Option<Cow<'a, str>>,
    pub(crate) project: Option<Cow<'a, str>>,
    pub(crate) seq: Option<u64>,
    /// Where an `events-lost` begins.
    pub(crate) lost_from: Option<u64>,
    pub(crate) carrier: Option<Result<CarrierRef<'a>, BadCarrier>>,
    /// Whether the event surely names no member that the broker adds.
    pub(crate) plain: bool,
}

impl<'a> Arrival<'a> {
    /// The trace that the event carries, if it can be read.
    pub(crate) fn trace_id(&self) -> Option<TraceId> {
        let carrier = self.carrier.as_ref()?.as_ref().ok()?;
        let trace: SentryTrace = carrier.trace.parse().ok()?;
        Some(trace.trace_id)
    }

    /// Reads one event. One whose head has a field of the wrong type is passed on all the same, with what
    /// could be read: the server refuses it by name, so that it uses up its place.
    pub(crate) fn read(json: &'a Bytes) -> Self {
        // What was cut out of a valid frame is valid text.
        let text = std::str::from_utf8(json).unwrap_or_default();
        match EventHead::read(text) {
            Ok(head) => Self {
                json,
                lost_from: lost_from(&head.kind, text),
                plain: is_plain(json),
                carrier: head.carrier.map(CarrierRef::read),
                kind: head.kind,
                command: head.command_id,
                project: head.project_id,
                seq: head.seq,
            },
            Err(bad) => Self {
                json,
                lost_from: None,
                plain: false,
                carrier: bad.carrier.and_then(|place| carrier_at(text, place)),
                kind: Cow::Owned(bad.kind.unwrap_or_default()),
                command: bad.command_id.map(Cow::Owned),
                project: bad.project_id.map(Cow::Owned),
                seq: bad.seq,
            },
        }
    }
}

/// The carrier whose value stands at this place.
fn carrier_at(json: &str, place: Range<usize>) -> Option<Result<CarrierRef<'_>, BadCarrier>> {
    let raw: &RawValue = serde_json::from_str(json.get(place)?).ok()?;
    Some(CarrierRef::read(raw))
}

fn lost_from(kind: &str, json: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Lost {
        from: u64,
    }
    (kind == EventType::EventsLost.as_str())
        .then(|| serde_json::from_str::<Lost>(json).ok())
        .flatten()
        .map(|lost| lost.from)
}

/// A search in the bytes errs on the safe side: a text that looks like such a member makes it false.
fn is_plain(json: &[u8]) -> bool {
    memmem::find(json, b"\"runnerId\"").is_none()
        && memmem::find(json, b"\"runnerBound\"").is_none()
        && memmem::find(json, b"\"link").is_none()
}

/// How an event's carrier is passed on, and whether its hop is recorded.
#[derive(Debug, Clone)]
pub(crate) enum Trail {
    /// To the byte as it came; no span.
    AsItCame,
    /// With the decision that was made here; no span.
    Decided(TraceContext),
    /// With this hop's span in place of the one before it.
    Recorded {
        /// Where the trace stood when the event came.
        parent: TraceContext,
        /// This hop's span.
        span_id: SpanId,
        /// Whether the trace begins with this span, so that it has no parent.
        head: bool,
        /// Where in the event the sixteen digits of the parent's span stand, if nothing else of the
        /// carrier changes.
        digits_at: Option<usize>,
    },
}

impl Trail {
    /// The trace, if this hop has to do with it.
    pub(crate) fn trace_id(&self) -> Option<TraceId> {
        match self {
            Self::AsItCame => None,
            Self::Decided(context)
            | Self::Recorded {
                parent: context, ..
            } => Some(context.trace_id),
        }
    }
}

/// A failed attempt to forward an event.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) number: u32,
    pub(crate) error: Text,
    pub(crate) at: Timestamp,
}

/// Only so many failed attempts are kept for the span; the last one replaces the one before it.
const MAX_ATTEMPTS_TOLD: usize = 32;

/// An event while the broker holds it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) json: Bytes,
    pub(crate) kind: Text,
    /// Empty if the event names none.
    pub(crate) project: Text,
    /// None from peers that number nothing.
    pub(crate) seq: Option<u64>,
    /// None for what the broker itself reports, which is passed on as it is.
    pub(crate) origin: Option<Arc<Connection>>,
    pub(crate) link_seq: u64,
    pub(crate) trail: Trail,
    pub(crate) plain: bool,
    /// The bytes it counts for while it is held.
    pub(crate) counted: usize,
    pub(crate) received: Timestamp,
    /// Since when it has been waiting in its lane.
    pub(crate) waiting_since: Timestamp,
    /// How long it waited before, in nanoseconds.
    pub(crate) waited: u64,
    pub(crate) attempts: u32,
    pub(crate) failures: Vec<Attempt>,
    /// Whether its span has been shown unfinished.
    pub(crate) shown: bool,
    /// Why these bytes stand for the event that came, if they do: a code of refusal.
    pub(crate) replaced: Option<&'static str>,
}

impl Held {
    /// Notes that an attempt to forward it has failed and that it waits again.
    pub(crate) fn failed(&mut self, error: &Text, at: Timestamp) {
        self.attempts += 1;
        if self.failures.len() == MAX_ATTEMPTS_TOLD {
            self.failures.pop();
        }
        self.failures.push(Attempt {
            number: self.attempts,
            error: error.clone(),
            at,
        });
        self.waiting_since = at;
    }

    /// Puts a small event in place of one that cannot be passed on: one that uses up its number, tells why and goes on
    /// in the same trace.
    pub(crate) fn stand_in(&mut self, command: &str, code: &'static str, why: &str, at: Timestamp) {
        let mut fields = Vec::new();
        if let Some(carrier) = own_carrier(&self.json) {
            fields.extend_from_slice(b"\"_sentry\":");
            fields.extend_from_slice(carrier.as_bytes());
        }
        if let Some(seq) = self.seq {
            let comma = if fields.is_empty() { "" } else { "," };
            let range = format!("{comma}\"from\":{seq},\"to\":{seq},\"reason\":");
            fields.extend_from_slice(range.as_bytes());
            hopline_wire::event::write_string(&format!("{code}: {why}"), &mut fields);
        }
        let fields = String::from_utf8(fields).unwrap_or_default();
        let mut json = Vec::new();
        hopline_wire::event::Envelope {
            kind: EventType::EventsLost.as_str(),
            command_id: Some(command),
            project_id: Some(&*self.project).filter(|project| !project.is_empty()),
            timestamp: &at.to_string(),
            seq: self.seq,
            carrier: None,
        }
        .write(&fields, &mut json);
        self.json = json.into();
        self.plain = false;
        self.replaced = Some(code);
        if let Trail::Recorded { digits_at, .. } = &mut self.trail {
            *digits_at = None;
        }
    }
}

/// A carrier of more bytes than this is not taken over from an event that is replaced: it may be what made it too large.
const MAX_CARRIER_BYTES: usize = 32 << 10;

/// The value of an event's `_sentry`, as it came.
pub(crate) fn own_carrier(json: &[u8]) -> Option<&str> {
    let json = std::str::from_utf8(json).ok()?;
    let carrier = match EventHead::read(json) {
        Ok(head) => head.carrier?.get(),
        Err(bad) => json.get(bad.carrier?)?,
    };
    (carrier.len() <= MAX_CARRIER_BYTES).then_some(carrier)
}

/// How an event's stay in the broker ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fate {
    /// The server has it.
    Settled,
    /// Refused for good.
    Rejected {
        /// Why, for programs.
        code: Text,
        /// Why, for people.
        error: Text,
    },
    /// Dropped here because the runner sends it again in its place.
    SentAgain,
    /// Still held when the broker ended.
    Abandoned,
}
