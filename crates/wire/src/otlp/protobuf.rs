//! From a request in protobuf to spans at once, without the messages in between: for every attribute of those two or three
//! pieces of memory are set aside and given back, which is half of what taking spans in costs.
//!
//! What a span becomes is the same as by [`decode`](super::decode) and [`from_request`](super::from_request), whose rules
//! these are too; a test holds both ways together. The numbers of fields are those of OTLP 1.x.

use std::sync::Arc;

use super::from_request::{
    self, Keys, RESOURCE_ATTRIBUTES, ScopeParts, keep_count, keep_text, links_of, parent_id,
    resource_of, status_of, take_field, text,
};
use super::{DecodeError, Item, Refused, RefusedReason, kept};
use crate::ids::{SpanId, TraceId};
use crate::span::{
    Attribute, Link, Links, Resource, Span, SpanEvent, SpanKind, SpanName, SpanStatus, Text, Value,
};
use crate::time::Timestamp;

/// The most levels that messages are nested.
const MAX_DEPTH: usize = 100;

/// How many levels above a span's attributes there are.
const ATTRIBUTE_DEPTH: usize = 4;

/// Up to how many bytes a text is kept to be compared with the next span's.
const ALIKE: usize = 128;

type Decoded<T> = Result<T, DecodeError>;

/// Reads the spans of a request in protobuf and appends them to `out`. `take` is asked for each item of its lists, before
/// memory is set aside for it, whether to go on. What could not be taken, such as spans of more than `span_bytes`, is counted
/// in the answer, each reason once.
///
/// # Errors
/// [`DecodeError::Malformed`] if the bytes are no such message, are nested deeper than 100 messages, or because `take` said
/// no; `out` may have some of the spans then.
pub fn decode_spans(
    bytes: &[u8],
    span_bytes: usize,
    take: &dyn Fn(Item) -> bool,
    out: &mut Vec<Span>,
) -> Decoded<Vec<Refused>> {
    let mut reader = Reader {
        take,
        span_bytes,
        before: Vec::new(),
        keys: Keys::default(),
        resource_attributes: 0,
        refused: Vec::new(),
    };
    let mut fields = Fields(bytes);
    while let Some((field, value)) = fields.next()? {
        if field == 1 {
            reader.item(Item::Group)?;
            reader.resource_spans(value.bytes()?, out)?;
        }
    }
    Ok(reader.refused)
}

/// The fields of a message, one after the other.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

/// What a field holds, as it is written.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

const fn malformed<T>(why: &'static str) -> Decoded<T> {
    Err(DecodeError::Malformed(why))
}

const OTHER_TYPE: &str = "a field is not of its type";

impl<'a> Fields<'a> {
    fn next(&mut self) -> Decoded<Option<(u64, Wire<'a>)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(self.array()?),
            2 => {
                let length = self.varint()?;
                Wire::Bytes(self.take(usize::try_from(length).unwrap_or(usize::MAX))?)
            }
            5 => Wire::Fixed32(self.array()?),
            // Nothing of OTLP is a group.
            3 | 4 => return malformed("it holds a group"),
            _ => return malformed("a field is of no known type"),
        };
        match tag >> 3 {
            0 => malformed("a field has no number"),
            field => Ok(Some((field, value))),
        }
    }

    fn varint(&mut self) -> Decoded<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let Some((byte, rest)) = self.0.split_first() else {
                return malformed("it breaks off");
            };
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Ok(value);
            }
        }
        malformed("a number is too long")
    }

    fn take(&mut self, length: usize) -> Decoded<&'a [u8]> {
        let Some((taken, rest)) = self.0.split_at_checked(length) else {
            return malformed("it breaks off");
        };
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let Some((taken, rest)) = self.0.split_first_chunk() else {
            return malformed("it breaks off");
        };
        self.0 = rest;
        Ok(*taken)
    }
}

impl<'a> Wire<'a> {
    fn bytes(self) -> Decoded<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => malformed(OTHER_TYPE),
        }
    }

    fn text(self) -> Decoded<&'a str> {
        str::from_utf8(self.bytes()?).or(malformed("a text is not UTF-8"))
    }

    fn varint(self) -> Decoded<u64> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => malformed(OTHER_TYPE),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "as the format says of numbers of 32 bits"
    )]
    fn number(self) -> Decoded<u32> {
        Ok(self.varint()? as u32)
    }

    fn fixed64(self) -> Decoded<u64> {
        match self {
            Self::Fixed64(bytes) => Ok(u64::from_le_bytes(bytes)),
            _ => malformed(OTHER_TYPE),
        }
    }

    fn fixed32(self) -> Decoded<u32> {
        match self {
            Self::Fixed32(bytes) => Ok(u32::from_le_bytes(bytes)),
            _ => malformed(OTHER_TYPE),
        }
    }
}

/// What is shared while one request is read.
struct Reader<'t> {
    take: &'t dyn Fn(Item) -> bool,
    span_bytes: usize,
    /// The attributes of the span before, each at its place: those of the next one are mostly alike, and then share its
    /// texts.
    before: Vec<Attribute>,
    keys: Keys,
    resource_attributes: usize,
    refused: Vec<Refused>,
}

impl Reader<'_> {
    fn item(&self, item: Item) -> Decoded<()> {
        match (self.take)(item) {
            true => Ok(()),
            false => malformed("it holds more than is taken"),
        }
    }

    fn refuse(&mut self, reason: RefusedReason) {
        Refused::count_in(&mut self.refused, reason);
    }

    fn resource_spans(&mut self, bytes: &[u8], out: &mut Vec<Span>) -> Decoded<()> {
        // Fields may come in any order, and the spans need what the others say.
        let mut shared = Vec::new();
        let (mut dropped, mut schema) = (0, "");
        let mut fields = Fields(bytes);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => self.resource(value.bytes()?, &mut shared, &mut dropped)?,
                3 => schema = value.text()?,
                _ => {}
            }
        }
        keep_count(&mut shared, kept::DROPPED_ATTRIBUTES, dropped);
        keep_text(&mut shared, kept::RESOURCE_SCHEMA, schema);
        let mut fields = Fields(bytes);
        while let Some((field, value)) = fields.next()? {
            if field == 2 {
                self.item(Item::Group)?;
                self.scope_spans(value.bytes()?, &shared, out)?;
            }
        }
        Ok(())
    }

    fn resource(
        &mut self,
        bytes: &[u8],
        shared: &mut Vec<Attribute>,
        dropped: &mut u32,
    ) -> Decoded<()> {
        let mut fields = Fields(bytes);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => shared.push(self.attribute(value, None, ATTRIBUTE_DEPTH)?),
                2 => *dropped = value.number()?,
                _ => {}
            }
        }
        Ok(())
    }

    fn scope_spans(
        &mut self,
        bytes: &[u8],
        shared: &[Attribute],
        out: &mut Vec<Span>,
    ) -> Decoded<()> {
        let (mut scope, mut spans) = (ScopeParts::default(), 0);
        let mut fields = Fields(bytes);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => self.scope(value.bytes()?, &mut scope)?,
                2 => spans += 1,
                3 => scope.schema_url = text(value.text()?),
                _ => {}
            }
        }
        if spans == 0 {
            return Ok(());
        }
        self.resource_attributes += shared.len();
        let is_too_much = self.resource_attributes > RESOURCE_ATTRIBUTES;
        let resource = match is_too_much {
            true => Arc::default(),
            false => resource_of(shared.to_vec(), scope),
        };
        let mut fields = Fields(bytes);
        while let Some((field, value)) = fields.next()? {
            if field != 2 {
                continue;
            }
            self.item(Item::Span)?;
            let bytes = value.bytes()?;
            if is_too_much {
                self.refuse(RefusedReason::Resource);
            } else if bytes.len() > self.span_bytes {
                self.refuse(RefusedReason::TooLarge);
            } else if let Some(span) = self.span(bytes, &resource)? {
                out.push(span);
            }
        }
        Ok(())
    }

    fn scope(&mut self, bytes: &[u8], scope: &mut ScopeParts) -> Decoded<()> {
        let mut fields = Fields(bytes);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => scope.name = text(value.text()?),
                2 => scope.version = text(value.text()?),
                3 => {
                    let attribute = self.attribute(value, None, ATTRIBUTE_DEPTH)?;
                    scope.attributes.push(attribute);
                }
                4 => scope.dropped = value.number()?,
                _ => {}
            }
        }
        Ok(())
    }

    /// None if it is refused, which is counted.
    fn span(&mut self, bytes: &[u8], resource: &Arc<Resource>) -> Decoded<Option<Span>> {
        let (trace_id, span_id, parent_id) = match ids(bytes)? {
            Ok(ids) => ids,
            Err(reason) => {
                self.refuse(reason);
                return Ok(None);
            }
        };
        let mut span = Span {
            trace_id,
            span_id,
            parent_id,
            name: SpanName {
                stem: "",
                rest: Text::EMPTY,
            },
            op: Text::EMPTY,
            kind: SpanKind::Internal,
            start: Timestamp::from_nanos(0),
            end: Timestamp::from_nanos(0),
            status: SpanStatus::Unset,
            pending: false,
            event: None,
            attributes: Vec::with_capacity(self.before.len()),
            links: Links::None,
            events: Vec::new(),
            trace_state: Text::EMPTY,
            resource: Arc::clone(resource),
        };
        let mut kind = 0;
        let mut links = Vec::new();
        // Flags, and how many attributes, events and links were left out.
        let mut counts = [0; 4];
        let mut place = 0;
        let mut fields = Fields(bytes);
        while let Some((field, value)) = fields.next()? {
            match field {
                3 => span.trace_state = text(value.text()?),
                5 => span.name.rest = text(value.text()?),
                6 => kind = value.number()?.cast_signed(),
                7 => span.start = Timestamp::from_nanos(value.fixed64()?),
                8 => span.end = Timestamp::from_nanos(value.fixed64()?),
                9 => {
                    let attribute = self.attribute(value, Some(place), ATTRIBUTE_DEPTH)?;
                    place += 1;
                    if let Some(other) = take_field(&mut span, attribute) {
                        span.attributes.push(other);
                    }
                }
                11 => {
                    let event = self.event(value.bytes()?)?;
                    span.events.push(event);
                }
                13 => links.extend(self.link(value.bytes()?)?),
                15 => span.status = status(value.bytes()?)?,
                16 => counts[0] = value.fixed32()?,
                10 => counts[1] = value.number()?,
                12 => counts[2] = value.number()?,
                14 => counts[3] = value.number()?,
                _ => {}
            }
        }
        span.kind = SpanKind::from_number(kind);
        span.links = links_of(trace_id, links);
        from_request::keep_counts(&mut span.attributes, counts);
        Ok(Some(span))
    }

    fn event(&mut self, bytes: &[u8]) -> Decoded<SpanEvent> {
        self.item(Item::Part)?;
        let (mut at, mut name, mut attributes, mut dropped) = (0, "", Vec::new(), 0);
        let mut fields = Fields(bytes);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => at = value.fixed64()?,
                2 => name = value.text()?,
                3 => attributes.push(self.attribute(value, None, ATTRIBUTE_DEPTH + 1)?),
                4 => dropped = value.number()?,
                _ => {}
            }
        }
        keep_count(&mut attributes, kept::DROPPED_ATTRIBUTES, dropped);
        Ok(SpanEvent {
            at: Timestamp::from_nanos(at),
            name: text(name),
            attributes,
        })
    }

    /// None if its ids are malformed, which is counted.
    fn link(&mut self, bytes: &[u8]) -> Decoded<Option<Link>> {
        self.item(Item::Part)?;
        let (mut trace_id, mut span_id) = (None, None);
        let (mut state, mut attributes, mut dropped, mut flags) = ("", Vec::new(), 0, 0);
        let mut fields = Fields(bytes);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => trace_id = from_request::trace_id(value.bytes()?),
                2 => span_id = from_request::span_id(value.bytes()?),
                3 => state = value.text()?,
                4 => attributes.push(self.attribute(value, None, ATTRIBUTE_DEPTH + 1)?),
                5 => dropped = value.number()?,
                6 => flags = value.fixed32()?,
                _ => {}
            }
        }
        let Some((trace_id, span_id)) = trace_id.zip(span_id) else {
            self.refuse(RefusedReason::Link);
            return Ok(None);
        };
        keep_text(&mut attributes, kept::LINK_TRACE_STATE, state);
        keep_count(&mut attributes, kept::FLAGS, flags);
        keep_count(&mut attributes, kept::DROPPED_ATTRIBUTES, dropped);
        Ok(Some(Link {
            trace_id,
            span_id,
            attributes,
        }))
    }

    /// An attribute, at so many levels below the request; of a span, its place among the others.
    fn attribute(
        &mut self,
        message: Wire<'_>,
        place: Option<usize>,
        depth: usize,
    ) -> Decoded<Attribute> {
        self.item(Item::Part)?;
        let (mut key, mut value) = (&[][..], None);
        let mut fields = Fields(message.bytes()?);
        while let Some((field, wire)) = fields.next()? {
            match field {
                1 => key = wire.bytes()?,
                2 => value = Some(wire.bytes()?),
                _ => {}
            }
        }
        let before = place.and_then(|place| self.before.get(place));
        let alike = before.filter(|before| before.key.as_bytes() == key);
        let known = alike.map(|before| before.key.clone());
        let same = alike.zip(value.and_then(plain_text));
        let same = same.and_then(|(before, text)| match &before.value {
            Value::Text(known) if known.as_bytes() == text => Some(known.clone()),
            _ => None,
        });
        let is_same = same.is_some();
        let key = match known {
            Some(known) => known,
            None => self.keys.text(Wire::Bytes(key).text()?),
        };
        let value = match (same, value) {
            (Some(same), _) => {
                self.item(Item::Part)?;
                Value::Text(same)
            }
            (None, Some(value)) => self.value(value, depth + 1)?,
            (None, None) => Value::Empty,
        };
        let attribute = Attribute { key, value };
        if let Some(place) = place
            && !is_same
        {
            self.remember(place, &attribute);
        }
        Ok(attribute)
    }

    fn remember(&mut self, place: usize, attribute: &Attribute) {
        let kept = Attribute {
            key: attribute.key.clone(),
            value: match &attribute.value {
                Value::Text(text) if text.len() <= ALIKE => Value::Text(text.clone()),
                _ => Value::Empty,
            },
        };
        match self.before.get_mut(place) {
            Some(before) => *before = kept,
            // Places come one after the other; of a span with very many, the first are enough.
            None if place < ALIKE => self.before.push(kept),
            None => {}
        }
    }

    /// An `AnyValue`: the last of its fields counts.
    fn value(&mut self, bytes: &[u8], depth: usize) -> Decoded<Value> {
        self.item(Item::Part)?;
        if depth > MAX_DEPTH {
            return malformed("it is nested too deeply");
        }
        let mut value = Value::Empty;
        let mut fields = Fields(bytes);
        while let Some((field, wire)) = fields.next()? {
            match field {
                1 => value = Value::Text(Text::Shared(wire.text()?.into())),
                2 => value = Value::Bool(wire.varint()? != 0),
                3 => value = Value::Int(wire.varint()?.cast_signed()),
                4 => value = Value::Double(f64::from_bits(wire.fixed64()?)),
                5 => value = Value::List(self.list(wire.bytes()?, depth + 1)?.into()),
                6 => value = Value::Map(self.map(wire.bytes()?, depth + 1)?.into()),
                7 => value = Value::Bytes(wire.bytes()?.into()),
                // The index into a table of texts belongs to profiles, and has no table here.
                8 => value = Value::Empty,
                _ => {}
            }
        }
        Ok(value)
    }

    fn list(&mut self, bytes: &[u8], depth: usize) -> Decoded<Vec<Value>> {
        self.item(Item::Part)?;
        let mut values = Vec::new();
        let mut fields = Fields(bytes);
        while let Some((field, wire)) = fields.next()? {
            if field == 1 {
                values.push(self.value(wire.bytes()?, depth + 1)?);
            }
        }
        Ok(values)
    }

    fn map(&mut self, bytes: &[u8], depth: usize) -> Decoded<Vec<Attribute>> {
        self.item(Item::Part)?;
        let mut values = Vec::new();
        let mut fields = Fields(bytes);
        while let Some((field, wire)) = fields.next()? {
            if field == 1 {
                values.push(self.attribute(wire, None, depth + 1)?);
            }
        }
        Ok(values)
    }
}

/// The text of an `AnyValue` that is one and nothing else.
fn plain_text(bytes: &[u8]) -> Option<&[u8]> {
    let mut fields = Fields(bytes);
    match fields.next() {
        Ok(Some((1, Wire::Bytes(text)))) if fields.0.is_empty() => Some(text),
        _ => None,
    }
}

/// The ids of a span's trace, of the span, and of its parent.
type Ids = (TraceId, SpanId, Option<SpanId>);

/// A span's ids, or why it cannot be taken.
fn ids(bytes: &[u8]) -> Decoded<Result<Ids, RefusedReason>> {
    let (mut trace, mut own, mut parent) = (&[][..], &[][..], &[][..]);
    let mut fields = Fields(bytes);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => trace = value.bytes()?,
            2 => own = value.bytes()?,
            4 => parent = value.bytes()?,
            _ => {}
        }
    }
    let checked = || {
        let trace = from_request::trace_id(trace).ok_or(RefusedReason::TraceId)?;
        let own = from_request::span_id(own).ok_or(RefusedReason::SpanId)?;
        Ok((trace, own, parent_id(parent)?))
    };
    Ok(checked())
}

fn status(bytes: &[u8]) -> Decoded<SpanStatus> {
    let (mut message, mut code) = ("", 0);
    let mut fields = Fields(bytes);
    while let Some((field, value)) = fields.next()? {
        match field {
            2 => message = value.text()?,
            3 => code = value.number()?.cast_signed(),
            _ => {}
        }
    }
    Ok(status_of(code, message))
}
