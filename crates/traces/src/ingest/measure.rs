//! Counting what a body holds before it is decoded.
//!
//! Two bytes of protobuf, or three of JSON, make a message that takes hundreds in memory. So large bodies
//! are walked over first, without setting anything aside; small ones cannot do harm, and are not.

use super::{IngestError, Limits};

/// Bodies up to this many bytes are not counted.
const HARMLESS: usize = 256 << 10;

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
}

/// Checks the counts of a body in protobuf. What is malformed is left to the decoder to say.
pub(super) fn protobuf(body: &[u8], limits: &Limits) -> Result<(), IngestError> {
    if body.len() <= HARMLESS {
        return Ok(());
    }
    let mut counted = Counted {
        spans: 0,
        parts: 0,
        limits,
    };
    counted.walk(Message::Request, body, 0)
}

/// Checks the counts of a body in JSON: how many objects it can have at most.
pub(super) fn json(body: &[u8], limits: &Limits) -> Result<(), IngestError> {
    if body.len() <= HARMLESS {
        return Ok(());
    }
    let objects = body.iter().filter(|byte| **byte == b'{').count();
    if objects > limits.parts {
        return Err(IngestError::TooMany {
            what: "objects",
            limit: limits.parts,
        });
    }
    Ok(())
}

struct Counted<'a> {
    spans: usize,
    parts: usize,
    limits: &'a Limits,
}

impl Counted<'_> {
    fn walk(&mut self, message: Message, mut rest: &[u8], depth: usize) -> Result<(), IngestError> {
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
                            self.count(inside)?;
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

    fn count(&mut self, message: Message) -> Result<(), IngestError> {
        let (counter, limit, what) = match message {
            Message::ResourceSpans | Message::ScopeSpans | Message::Span => {
                (&mut self.spans, self.limits.spans, "spans")
            }
            _ => (&mut self.parts, self.limits.parts, "attributes"),
        };
        *counter += 1;
        if *counter > limit {
            return Err(IngestError::TooMany { what, limit });
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
