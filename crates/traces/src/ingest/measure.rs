//! Counting what a body holds, and asking for the memory that it takes, before that is set aside.
//!
//! Two bytes of protobuf, or three of JSON, make a message that takes hundreds in memory. So bodies in
//! protobuf are walked over first, without setting anything aside; those in JSON are counted while they are read.

use std::cell::{Cell, RefCell};

use hopline_wire::otlp::{self, ExportTraceServiceRequest, Item};

use super::{IngestError, Limits};

/// What a span takes, in bytes: as a message and as our own, in lists that are up to half empty.
const SPAN: usize = 1_024;

/// What an attribute or another part of a span takes, likewise; its texts are counted with the body.
const PART: usize = 192;

/// What a group takes, likewise.
const GROUP: usize = 512;

/// How many times the texts of a body are held beside it: as messages, then as they are stored.
const COPIES: usize = 2;

/// The most levels that are walked; prost stops at 100 too.
const MAX_DEPTH: usize = 100;

/// The messages of an `ExportTraceServiceRequest`, as far as they hold others.
#[derive(Clone, Copy)]
enum Message {
    Request,
    ResourceSpans,
    Resource,
    ScopeSpans,
    Scope,
    Span,
    Event,
    Link,
    EntityRef,
    KeyValue,
    AnyValue,
    ArrayValue,
    KeyValueList,
    /// A text that is repeated.
    Text,
}

impl Message {
    /// The message in a field; none if the field holds none, or one of a kind that comes once.
    const fn in_field(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Request, 1) => Self::ResourceSpans,
            (Self::ResourceSpans, 1) => Self::Resource,
            (Self::ResourceSpans, 2) => Self::ScopeSpans,
            (Self::ScopeSpans, 1) => Self::Scope,
            (Self::ScopeSpans, 2) => Self::Span,
            (Self::Resource, 1)
            | (Self::Scope, 3)
            | (Self::Span, 9)
            | (Self::Event, 3)
            | (Self::Link, 4)
            | (Self::KeyValueList, 1) => Self::KeyValue,
            (Self::Resource, 3) => Self::EntityRef,
            (Self::EntityRef, 3 | 4) => Self::Text,
            (Self::Span, 11) => Self::Event,
            (Self::Span, 13) => Self::Link,
            (Self::KeyValue, 2) | (Self::ArrayValue, 1) => Self::AnyValue,
            (Self::AnyValue, 5) => Self::ArrayValue,
            (Self::AnyValue, 6) => Self::KeyValueList,
            _ => return None,
        })
    }

    const fn item(self) -> Item {
        match self {
            Self::ResourceSpans | Self::ScopeSpans => Item::Group,
            Self::Span => Item::Span,
            _ => Item::Part,
        }
    }
}

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

    /// Decodes a body in protobuf. What is malformed is left to the decoder to say.
    pub(super) fn protobuf(&self, body: &[u8]) -> Result<ExportTraceServiceRequest, IngestError> {
        self.memory(body.len().saturating_mul(COPIES))?;
        self.walk(Message::Request, body, 0)?;
        Ok(otlp::decode(body)?)
    }

    /// Decodes a body in JSON.
    pub(super) fn json(&self, body: &[u8]) -> Result<ExportTraceServiceRequest, IngestError> {
        self.memory(body.len().saturating_mul(COPIES))?;
        let take = |item| match self.item(item) {
            Ok(()) => true,
            Err(error) => {
                *self.refusal.borrow_mut() = Some(error);
                false
            }
        };
        let decoded = otlp::decode_json_counted(body, &take);
        match self.refusal.take() {
            Some(refusal) => Err(refusal),
            None => Ok(decoded?),
        }
    }

    fn walk(&self, message: Message, mut rest: &[u8], depth: usize) -> Result<(), IngestError> {
        if depth > MAX_DEPTH {
            return Err(IngestError::Protobuf("it is nested too deeply"));
        }
        while let Some(tag) = number(&mut rest) {
            let skipped = match tag & 7 {
                0 => number(&mut rest).map(drop),
                1 => take(&mut rest, 8).map(drop),
                5 => take(&mut rest, 4).map(drop),
                2 => match number(&mut rest).and_then(|length| take(&mut rest, length)) {
                    Some(inner) => {
                        if let Some(inside) = message.in_field(tag >> 3) {
                            self.item(inside.item())?;
                            self.walk(inside, inner, depth + 1)?;
                        }
                        Some(())
                    }
                    None => None,
                },
                // Nothing of OTLP is a group, and a decoder passes over it: so could a counter be fooled.
                3 | 4 => return Err(IngestError::Protobuf("it holds a group")),
                _ => None,
            };
            if skipped.is_none() {
                break;
            }
        }
        Ok(())
    }
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(taken)
}
