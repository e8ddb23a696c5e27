//! One waiting event, and a frame of events on their way.

use std::sync::Arc;

use bytes::Bytes;
use hopline_telemetry::Tracer;
use hopline_wire::Timestamp;
use hopline_wire::event::EventType;
use hopline_wire::span::Span;

use crate::events::{EventSpan, Stream};
use crate::trace::Scope;

/// What an event takes beside its bytes, about.
pub(super) const ENTRY_BYTES: usize = 128;

/// One event, until it is settled.
pub(crate) struct Entry {
    pub(super) seq: u64,
    /// The first event that it stands for: itself, but for an `events-lost`.
    pub(super) first_seq: u64,
    pub(super) kind: EventType,
    pub(super) body: Bytes,
    /// The span that its first writing ends; none after that, and where nothing is traced.
    pub(super) span: Option<EventSpan>,
    /// The journal's segment that it stands in; 0 for none.
    pub(super) segment: u64,
}

impl Entry {
    pub(crate) fn new(seq: u64, kind: EventType, body: Bytes, span: Option<EventSpan>) -> Self {
        Self {
            seq,
            first_seq: seq,
            kind,
            body,
            span,
            segment: 0,
        }
    }

    /// How much room it needs, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.body.len() + ENTRY_BYTES
    }

    /// How much memory counts for it, in bytes. An `events-lost` that the journal does not have counts for nothing: each
    /// command has few.
    pub(super) fn kept(&self) -> usize {
        match self.segment {
            0 => 0,
            _ => self.weight(),
        }
    }

    /// Whether it may use the reserve: without these events no command gets taken up or comes to its end.
    pub(super) fn is_reserved(&self) -> bool {
        matches!(
            self.kind,
            EventType::Ack
                | EventType::BuildCompleted
                | EventType::BuildFailed
                | EventType::Error
                | EventType::ProcessExited
                | EventType::EventsLost
        )
    }
}

/// One event of a frame.
pub(crate) struct Taken {
    pub(crate) stream: Arc<Stream>,
    pub(crate) body: Bytes,
    pub(super) seq: u64,
    pub(super) kind: EventType,
    pub(super) span: Option<EventSpan>,
    /// Whether it was written before.
    pub(super) again: bool,
}

impl Taken {
    pub(super) fn span(&self, tracer: &Tracer, taken: Timestamp) -> Option<Span> {
        let event = self.span.as_ref()?;
        Some(self.stream.span(tracer, self.kind, self.seq, event, taken))
    }
}

/// What is to be written next.
#[derive(Default)]
pub(crate) struct Frame {
    /// The events, each command's in order.
    pub(crate) events: Vec<Taken>,
    /// A `runner-status` that belongs to no command.
    pub(crate) status: Option<Bytes>,
    /// The bytes of all of it.
    pub(crate) bytes: usize,
    /// The spans of the commands whose last event this is.
    pub(super) handled: Vec<(Arc<str>, Scope)>,
    /// When the events' waiting ended.
    pub(super) taken_at: Timestamp,
}

impl Frame {
    /// What is to be written, in order.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = &Bytes> {
        let events = self.events.iter().map(|taken| &taken.body);
        self.status.iter().chain(events)
    }

    pub(super) fn is_some_work(&self) -> bool {
        self.status.is_some() || !self.events.is_empty()
    }
}
