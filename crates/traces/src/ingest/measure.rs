//! Counting what a body holds, and asking for the memory that it takes, before that is set aside.
//!
//! Two bytes of protobuf, or three of JSON, make a message that takes hundreds in memory. So each is counted before it is made.

use std::cell::{Cell, RefCell};

use hopline_wire::otlp::{self, DecodeError, ExportTraceServiceRequest, Item, Refused};
use hopline_wire::span::Span;

use super::{IngestError, Limits};

/// What a span takes, in bytes: as a message and as our own, in lists that are up to half empty.
const SPAN: usize = 1_024;

/// What an attribute or another part of a span takes, likewise; its texts are counted with the body.
const PART: usize = 192;

/// What a group takes, likewise.
const GROUP: usize = 512;

/// How many times the texts of a body are held beside it: as messages, then as they are stored.
const COPIES: usize = 2;

/// Counts what one request takes.
pub(super) struct Counted<'a> {
    limits: &'a Limits,
    room: &'a dyn Fn(usize) -> bool,
    spans: Cell<usize>,
    parts: Cell<usize>,
    bytes: Cell<usize>,
    /// Why no more is taken.
    refusal: RefCell<Option<IngestError>>,
}

impl<'a> Counted<'a> {
    /// Nothing so far. `room` is asked for memory, in bytes.
    pub(super) fn new(limits: &'a Limits, room: &'a dyn Fn(usize) -> bool) -> Self {
        Self {
            limits,
            room,
            spans: Cell::new(0),
            parts: Cell::new(0),
            bytes: Cell::new(0),
            refusal: RefCell::new(None),
        }
    }

    /// Takes so many more bytes of memory.
    pub(super) fn memory(&self, bytes: usize) -> Result<(), IngestError> {
        let all = self.bytes.get().saturating_add(bytes);
        let limit = self.limits.memory;
        if all > limit {
            return Err(IngestError::TooMuch { limit });
        }
        if !(self.room)(bytes) {
            return Err(IngestError::NoRoom);
        }
        self.bytes.set(all);
        Ok(())
    }

    /// Takes one more item.
    pub(super) fn item(&self, item: Item) -> Result<(), IngestError> {
        let (counter, limit, what, bytes) = match item {
            Item::Group => (&self.spans, self.limits.spans, "spans", GROUP),
            Item::Span => (&self.spans, self.limits.spans, "spans", SPAN),
            Item::Part => (&self.parts, self.limits.parts, "attributes", PART),
        };
        counter.set(counter.get() + 1);
        if counter.get() > limit {
            return Err(IngestError::TooMany { what, limit });
        }
        self.memory(bytes)
    }

    /// Reads the spans of a body in protobuf; tells what was refused of them.
    pub(super) fn protobuf(
        &self,
        body: &[u8],
        spans: &mut Vec<Span>,
    ) -> Result<Vec<Refused>, IngestError> {
        self.memory(body.len().saturating_mul(COPIES))?;
        let take = |item| self.takes(item);
        let decoded = otlp::decode_spans(body, self.limits.span_bytes, &take, spans);
        self.unless_refused(decoded)
    }

    /// Decodes a body in JSON.
    pub(super) fn json(&self, body: &[u8]) -> Result<ExportTraceServiceRequest, IngestError> {
        self.memory(body.len().saturating_mul(COPIES))?;
        let decoded = otlp::decode_json_counted(body, &|item| self.takes(item));
        self.unless_refused(decoded)
    }

    fn takes(&self, item: Item) -> bool {
        let taken = self.item(item);
        let is_taken = taken.is_ok();
        if let Err(error) = taken {
            *self.refusal.borrow_mut() = Some(error);
        }
        is_taken
    }

    /// What was decoded, unless more was asked for than is taken.
    fn unless_refused<T>(&self, decoded: Result<T, DecodeError>) -> Result<T, IngestError> {
        match self.refusal.take() {
            Some(refusal) => Err(refusal),
            None => Ok(decoded?),
        }
    }
}
