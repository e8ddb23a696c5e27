//! Reading frames.

use std::borrow::Cow;
use std::sync::Arc;

use hopline_wire::span::{
    self, Attribute, EventKeys, Link, Links, Resource, Span, SpanEvent, SpanKind, SpanName,
    SpanStatus, Text, Value,
};
use hopline_wire::{SpanId, Timestamp, TraceId};

use super::Corrupt;
use super::bytes::Reader;
use super::record::{Before, MAX_DEPTH, flag, tag};
use super::size;
use crate::overview::{EventFacts, Facts, MakerId};

/// The fewest bytes of a record: flags, id, and one byte for each number that is always there.
const LEAST_RECORD: usize = 16;

const NO_TEXT: Corrupt = Corrupt("a text is not in its list");

/// What the head of a frame says of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    /// How many spans it holds.
    pub(crate) spans: u64,
    /// Their distinct traces.
    pub(crate) traces: Vec<TraceId>,
}

/// Reads what a frame holds, without its spans.
pub(crate) fn contents(payload: &[u8]) -> Result<Contents, Corrupt> {
    read_contents(&mut Reader(payload))
}

fn read_contents(reader: &mut Reader<'_>) -> Result<Contents, Corrupt> {
    let spans = reader.number()?;
    let traces = (0..reader.count(16)?)
        .map(|_| trace_id(reader))
        .collect::<Result<_, _>>()?;
    Ok(Contents { spans, traces })
}

/// Appends the spans of a frame that are `wanted` to `out`, in the order in which they were written. `wanted` is asked
/// of each record, by its place in the frame and its trace. On an error, what was read before it stays in `out`.
pub(crate) fn decode(
    payload: &[u8],
    mut wanted: impl FnMut(u64, TraceId) -> bool,
    out: &mut Vec<Span>,
) -> Result<(), Corrupt> {
    records(payload, |tables, place, fixed, rest| {
        if wanted(place, fixed.trace_id) {
            out.push(tables.span(&fixed, rest)?);
        }
        Ok(())
    })
}

/// Tells the facts of a trace's spans in a frame, each with its record's place and the most bytes of memory that the
/// span can take, without making the spans.
pub(crate) fn facts(
    payload: &[u8],
    trace: TraceId,
    mut told: impl FnMut(u64, Facts<'_>, usize),
) -> Result<(), Corrupt> {
    records(payload, |tables, place, fixed, rest| {
        if fixed.trace_id == trace {
            let bytes = tables.beside(&fixed)? + size::at_most(rest.0.len());
            told(place, tables.facts(&fixed)?, bytes);
        }
        Ok(())
    })
}

/// Like [`facts`], with about the bytes that each span takes. Makes the large ones, one at a time, to find out.
pub(crate) fn sized_facts(
    payload: &[u8],
    trace: TraceId,
    mut told: impl FnMut(u64, Facts<'_>, usize),
) -> Result<(), Corrupt> {
    records(payload, |tables, place, fixed, rest| {
        if fixed.trace_id == trace {
            let bytes = match size::of_light(rest.0.len()) {
                Some(bytes) => bytes,
                None => size::of(&tables.span(&fixed, rest)?),
            };
            let bytes = tables.beside(&fixed)? + bytes;
            told(place, tables.facts(&fixed)?, bytes);
        }
        Ok(())
    })
}

/// Reads a frame's tables, then its records one by one as far as their fixed fields; `each` may read on.
fn records<'a>(
    payload: &'a [u8],
    mut each: impl FnMut(&mut Tables<'a>, u64, Fixed, Reader<'a>) -> Result<(), Corrupt>,
) -> Result<(), Corrupt> {
    let mut reader = Reader(payload);
    let contents = read_contents(&mut reader)?;
    let texts = (0..reader.count(1)?)
        .map(|_| reader.bytes().map(Stored::Written))
        .collect::<Result<_, _>>()?;
    let mut tables = Tables {
        traces: contents.traces,
        texts,
        resources: Vec::new(),
        makers: Vec::new(),
        heavy: Vec::new(),
        links: Vec::new(),
    };
    for _ in 0..reader.count(3)? {
        let resource = tables.resource(&mut reader)?;
        tables.makers.push(MakerId::of(&resource));
        tables.heavy.push(size::of_heavy(&resource));
        tables.resources.push(resource);
    }
    for _ in 0..reader.count(1)? {
        tables.links.push(StoredLinks::Written(reader.bytes()?));
    }
    if contents.spans > (reader.0.len() / LEAST_RECORD) as u64 {
        return Err(Corrupt("it says more spans than it holds"));
    }
    let mut before = Before::default();
    for place in 0..contents.spans {
        let mut record = Reader(reader.bytes()?);
        let fixed = tables.fixed(&mut record, &mut before)?;
        each(&mut tables, place, fixed, record)?;
    }
    if reader.is_empty() {
        Ok(())
    } else {
        Err(Corrupt("it goes on after its last span"))
    }
}

/// A text of the frame: made into one when it is first needed.
enum Stored<'a> {
    Written(&'a [u8]),
    Made(Text),
}

/// A shared link list, likewise.
enum StoredLinks<'a> {
    Written(&'a [u8]),
    Made(Arc<[SpanId]>),
}

struct Tables<'a> {
    traces: Vec<TraceId>,
    texts: Vec<Stored<'a>>,
    resources: Vec<Arc<Resource>>,
    /// Whose they are, likewise.
    makers: Vec<MakerId>,
    /// What each takes in memory, if that is much.
    heavy: Vec<usize>,
    links: Vec<StoredLinks<'a>>,
}

/// The fields that stand first in a record and that the next one may build on; texts by their numbers.
struct Fixed {
    flags: u16,
    trace_id: TraceId,
    span_id: SpanId,
    parent_id: Option<SpanId>,
    name: u64,
    op: u64,
    resource: u64,
    start: u64,
    end: u64,
    description: u64,
    event: Option<FixedKeys>,
}

impl Fixed {
    const fn has(&self, bit: u16) -> bool {
        self.flags & bit != 0
    }

    const fn status(&self) -> u16 {
        self.flags >> flag::STATUS_SHIFT & 3
    }
}

/// The event keys of a record.
struct FixedKeys {
    event_type: u64,
    project_id: u64,
    command_id: u64,
    session_id: u64,
    seq: u64,
}

impl Tables<'_> {
    fn text(&mut self, reader: &mut Reader<'_>) -> Result<Text, Corrupt> {
        let number = reader.number()?;
        self.text_of(number)
    }

    fn text_of(&mut self, number: u64) -> Result<Text, Corrupt> {
        let Some(index) = number.checked_sub(1) else {
            return Ok(Text::EMPTY);
        };
        let stored = usize::try_from(index)
            .ok()
            .and_then(|index| self.texts.get_mut(index))
            .ok_or(NO_TEXT)?;
        match stored {
            Stored::Made(text) => Ok(text.clone()),
            Stored::Written(bytes) => {
                let text = Text::Shared(utf8(bytes)?.into());
                *stored = Stored::Made(text.clone());
                Ok(text)
            }
        }
    }

    /// A text where it stands.
    fn text_at(&self, number: u64) -> Result<&str, Corrupt> {
        let Some(index) = number.checked_sub(1) else {
            return Ok("");
        };
        let stored = usize::try_from(index)
            .ok()
            .and_then(|index| self.texts.get(index));
        match stored.ok_or(NO_TEXT)? {
            Stored::Made(text) => Ok(text),
            Stored::Written(bytes) => utf8(bytes),
        }
    }

    /// What a span takes beside what its record tells, in bytes.
    fn beside(&self, fixed: &Fixed) -> Result<usize, Corrupt> {
        Ok(self.own_texts(fixed) + listed(&self.heavy, fixed.resource)?)
    }

    /// How long the texts of a record are that stand in the frame's list however long they are.
    fn own_texts(&self, fixed: &Fixed) -> usize {
        let length = |number: u64| {
            let index = number.checked_sub(1).map(usize::try_from);
            match index.and_then(|index| self.texts.get(index.ok()?)) {
                Some(Stored::Made(text)) => text.len(),
                Some(Stored::Written(bytes)) => bytes.len(),
                None => 0,
            }
        };
        length(fixed.name) + length(fixed.description)
    }

    fn resource(&mut self, reader: &mut Reader<'_>) -> Result<Arc<Resource>, Corrupt> {
        Ok(Arc::new(Resource {
            attributes: self.attributes(reader, 0)?,
            scope_name: self.text(reader)?,
            scope_version: self.text(reader)?,
        }))
    }

    /// Reads a record as far as its event keys.
    fn fixed(&self, reader: &mut Reader<'_>, before: &mut Before) -> Result<Fixed, Corrupt> {
        let flags = u16::from_le_bytes(reader.array()?);
        let has = |bit: u16| flags & bit != 0;
        let trace_id = *listed(&self.traces, reader.number()?)?;
        let span_id = span_id(reader)?;
        let parent_id = has(flag::PARENT)
            .then(|| self::span_id(reader))
            .transpose()?;
        let name = reader.number()?;
        let op = when(has(flag::OP), || reader.number())?;
        let resource = reader.number()?;
        let start = before.start.wrapping_add_signed(reader.signed()?);
        before.start = start;
        let length = reader.number()?;
        let end = if has(flag::ENDS_BEFORE) {
            start.checked_sub(length)
        } else {
            start.checked_add(length)
        };
        let failed = flags >> flag::STATUS_SHIFT & 3 == flag::STATUS_ERROR;
        Ok(Fixed {
            flags,
            trace_id,
            span_id,
            parent_id,
            name,
            op,
            resource,
            start,
            end: end.ok_or(Corrupt("a span ends outside of time"))?,
            description: when(failed, || reader.number())?,
            event: when(has(flag::EVENT_KEYS), || {
                event_keys(reader, before).map(Some)
            })?,
        })
    }

    fn facts(&self, fixed: &Fixed) -> Result<Facts<'_>, Corrupt> {
        let event = fixed.event.as_ref().map(|keys| {
            Ok(EventFacts {
                event_type: self.text_at(keys.event_type)?,
                command_id: self.text_at(keys.command_id)?,
                seq: keys.seq,
            })
        });
        Ok(Facts {
            span_id: fixed.span_id,
            parent_id: fixed.parent_id,
            tells_drops: self.text_at(fixed.name)? == span::DROPPED,
            maker: Cow::Borrowed(listed(&self.makers, fixed.resource)?),
            op: self.text_at(fixed.op)?,
            start: Timestamp::from_nanos(fixed.start),
            end: Timestamp::from_nanos(fixed.end),
            pending: fixed.has(flag::PENDING),
            failed: fixed.status() == flag::STATUS_ERROR,
            event: event.transpose()?,
        })
    }

    /// Makes the span of a record whose fixed fields have been read.
    fn span(&mut self, fixed: &Fixed, mut rest: Reader<'_>) -> Result<Span, Corrupt> {
        let reader = &mut rest;
        let has = |bit: u16| fixed.has(bit);
        let event = match &fixed.event {
            Some(keys) => Some(self.event_keys(keys)?),
            None => None,
        };
        let attributes = when(has(flag::ATTRIBUTES), || self.attributes(reader, 0))?;
        let links = self.links(fixed.flags, reader)?;
        let events = when(has(flag::EVENTS), || self.events(fixed.start, reader))?;
        let trace_state = when(has(flag::TRACE_STATE), || self.text(reader))?;
        Ok(Span {
            trace_id: fixed.trace_id,
            span_id: fixed.span_id,
            parent_id: fixed.parent_id,
            name: SpanName {
                stem: "",
                rest: self.text_of(fixed.name)?,
            },
            op: self.text_of(fixed.op)?,
            kind: SpanKind::from_number(i32::from(fixed.flags >> flag::KIND_SHIFT & 7)),
            start: Timestamp::from_nanos(fixed.start),
            end: Timestamp::from_nanos(fixed.end),
            status: match fixed.status() {
                0 => SpanStatus::Unset,
                flag::STATUS_OK => SpanStatus::Ok,
                flag::STATUS_ERROR => SpanStatus::Error(self.text_of(fixed.description)?),
                _ => return Err(Corrupt("a status is none")),
            },
            pending: has(flag::PENDING),
            event,
            attributes,
            links,
            events,
            trace_state,
            resource: listed(&self.resources, fixed.resource)?.clone(),
        })
    }

    fn event_keys(&mut self, keys: &FixedKeys) -> Result<EventKeys, Corrupt> {
        Ok(EventKeys {
            event_type: self.text_of(keys.event_type)?,
            project_id: self.text_of(keys.project_id)?,
            command_id: self.text_of(keys.command_id)?,
            session_id: self.text_of(keys.session_id)?,
            seq: keys.seq,
        })
    }

    fn attributes(
        &mut self,
        reader: &mut Reader<'_>,
        depth: usize,
    ) -> Result<Vec<Attribute>, Corrupt> {
        let count = reader.count(2)?;
        let mut attributes = Vec::with_capacity(count);
        for _ in 0..count {
            let key = self.text(reader)?;
            let value = self.value(reader, depth)?;
            attributes.push(Attribute { key, value });
        }
        Ok(attributes)
    }

    fn value(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<Value, Corrupt> {
        let tag = reader.byte()?;
        if matches!(tag, tag::LIST | tag::MAP) && depth == MAX_DEPTH {
            return Err(Corrupt("a value is nested too deeply"));
        }
        Ok(match tag {
            tag::EMPTY => Value::Empty,
            tag::FALSE => Value::Bool(false),
            tag::TRUE => Value::Bool(true),
            tag::INT => Value::Int(reader.signed()?),
            tag::DOUBLE => Value::Double(f64::from_bits(u64::from_le_bytes(reader.array()?))),
            #[expect(clippy::cast_precision_loss, reason = "written only where it is exact")]
            tag::MILLIONTHS => Value::Double(reader.number()? as f64 / 1e6),
            tag::TEXT => Value::Text(self.text(reader)?),
            tag::LONG_TEXT => Value::Text(Text::Shared(utf8(reader.bytes()?)?.into())),
            tag::BYTES => Value::Bytes(reader.bytes()?.into()),
            tag::LIST => {
                let count = reader.count(1)?;
                let mut values = Vec::with_capacity(count);
                for _ in 0..count {
                    values.push(self.value(reader, depth + 1)?);
                }
                Value::List(values.into())
            }
            tag::MAP => Value::Map(self.attributes(reader, depth + 1)?.into()),
            small if small >= tag::SMALL_INT => Value::Int(i64::from(small - tag::SMALL_INT)),
            _ => return Err(Corrupt("a value's tag is none")),
        })
    }

    fn links(&mut self, flags: u16, reader: &mut Reader<'_>) -> Result<Links, Corrupt> {
        if flags & flag::SHARED_LINKS != 0 {
            return self.shared_links(reader.number()?);
        }
        if flags & flag::LINKS == 0 {
            return Ok(Links::None);
        }
        let count = reader.count(25)?;
        let mut links = Vec::with_capacity(count);
        for _ in 0..count {
            links.push(Link {
                trace_id: trace_id(reader)?,
                span_id: span_id(reader)?,
                attributes: self.attributes(reader, 0)?,
            });
        }
        Ok(Links::Any(links))
    }

    fn shared_links(&mut self, number: u64) -> Result<Links, Corrupt> {
        let stored = usize::try_from(number)
            .ok()
            .and_then(|number| self.links.get_mut(number))
            .ok_or(Corrupt("something is not in its list"))?;
        let ids = match stored {
            StoredLinks::Made(ids) => Arc::clone(ids),
            StoredLinks::Written(bytes) => {
                let ids = shared_links(bytes)?;
                *stored = StoredLinks::Made(Arc::clone(&ids));
                ids
            }
        };
        Ok(Links::SameTrace(ids))
    }

    fn events(&mut self, start: u64, reader: &mut Reader<'_>) -> Result<Vec<SpanEvent>, Corrupt> {
        let count = reader.count(3)?;
        let mut events = Vec::with_capacity(count);
        for _ in 0..count {
            let at = start.wrapping_add_signed(reader.signed()?);
            events.push(SpanEvent {
                at: Timestamp::from_nanos(at),
                name: self.text(reader)?,
                attributes: self.attributes(reader, 0)?,
            });
        }
        Ok(events)
    }
}

/// Reads what is flagged as present.
#[inline]
fn when<T: Default>(
    present: bool,
    read: impl FnOnce() -> Result<T, Corrupt>,
) -> Result<T, Corrupt> {
    if present { read() } else { Ok(T::default()) }
}

fn event_keys(reader: &mut Reader<'_>, before: &mut Before) -> Result<FixedKeys, Corrupt> {
    let mut keys = FixedKeys {
        event_type: reader.number()?,
        project_id: reader.number()?,
        command_id: reader.number()?,
        session_id: reader.number()?,
        seq: 0,
    };
    keys.seq = before.seq.wrapping_add_signed(reader.signed()?);
    before.seq = keys.seq;
    Ok(keys)
}

/// The item of a list with this number.
fn listed<T>(list: &[T], number: u64) -> Result<&T, Corrupt> {
    usize::try_from(number)
        .ok()
        .and_then(|number| list.get(number))
        .ok_or(Corrupt("something is not in its list"))
}

fn utf8(bytes: &[u8]) -> Result<&str, Corrupt> {
    std::str::from_utf8(bytes).map_err(|_| Corrupt("a text is no UTF-8"))
}

fn trace_id(reader: &mut Reader<'_>) -> Result<TraceId, Corrupt> {
    TraceId::from_bytes(reader.array()?).ok_or(Corrupt("a trace id is all zero"))
}

fn span_id(reader: &mut Reader<'_>) -> Result<SpanId, Corrupt> {
    SpanId::from_bytes(reader.array()?).ok_or(Corrupt("a span id is all zero"))
}

fn shared_links(bytes: &[u8]) -> Result<Arc<[SpanId]>, Corrupt> {
    let (ids, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(Corrupt("a list of links is cut"));
    }
    ids.iter()
        .map(|id| SpanId::from_bytes(*id).ok_or(Corrupt("a span id is all zero")))
        .collect()
}
