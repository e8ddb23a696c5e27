//! Reading frames.

use std::sync::Arc;

use hopline_wire::span::{
    Attribute, EventKeys, Link, Links, Resource, Span, SpanEvent, SpanKind, SpanName, SpanStatus,
    Text, Value,
};
use hopline_wire::{SpanId, Timestamp, TraceId};

use super::Corrupt;
use super::bytes::Reader;
use super::record::{Before, MAX_DEPTH, flag, tag};

/// The fewest bytes of a record: flags, id, and one byte for each number that is always there.
const LEAST_RECORD: usize = 16;

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

/// Appends the spans of a frame to `out`, or those of one trace, in the order in which they were written. On an error,
/// what was read before it stays in `out`.
pub(crate) fn decode(
    payload: &[u8],
    only: Option<TraceId>,
    out: &mut Vec<Span>,
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
        links: Vec::new(),
    };
    for _ in 0..reader.count(3)? {
        let resource = tables.resource(&mut reader)?;
        tables.resources.push(resource);
    }
    for _ in 0..reader.count(1)? {
        let ids = shared_links(reader.bytes()?)?;
        tables.links.push(ids);
    }
    if contents.spans > (reader.0.len() / LEAST_RECORD) as u64 {
        return Err(Corrupt("it says more spans than it holds"));
    }
    let mut before = Before::default();
    for _ in 0..contents.spans {
        let record = reader.bytes()?;
        if let Some(span) = tables.span(Reader(record), only, &mut before)? {
            out.push(span);
        }
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

struct Tables<'a> {
    traces: Vec<TraceId>,
    texts: Vec<Stored<'a>>,
    resources: Vec<Arc<Resource>>,
    links: Vec<Arc<[SpanId]>>,
}

impl Tables<'_> {
    fn text(&mut self, reader: &mut Reader<'_>) -> Result<Text, Corrupt> {
        let number = reader.number()?;
        let Some(index) = number.checked_sub(1) else {
            return Ok(Text::EMPTY);
        };
        let stored = usize::try_from(index)
            .ok()
            .and_then(|index| self.texts.get_mut(index))
            .ok_or(Corrupt("a text is not in its list"))?;
        match stored {
            Stored::Made(text) => Ok(text.clone()),
            Stored::Written(bytes) => {
                let text = Text::Shared(utf8(bytes)?.into());
                *stored = Stored::Made(text.clone());
                Ok(text)
            }
        }
    }

    fn resource(&mut self, reader: &mut Reader<'_>) -> Result<Arc<Resource>, Corrupt> {
        Ok(Arc::new(Resource {
            attributes: self.attributes(reader, 0)?,
            scope_name: self.text(reader)?,
            scope_version: self.text(reader)?,
        }))
    }

    /// Reads one record. Of a span that is not wanted, only what the next one builds on.
    fn span(
        &mut self,
        mut reader: Reader<'_>,
        only: Option<TraceId>,
        before: &mut Before,
    ) -> Result<Option<Span>, Corrupt> {
        let reader = &mut reader;
        let flags = u16::from_le_bytes(reader.array()?);
        let has = |bit: u16| flags & bit != 0;
        let trace_id = *listed(&self.traces, reader)?;
        let wanted = only.is_none_or(|only| only == trace_id);
        let span_id = span_id(reader)?;
        let parent_id = has(flag::PARENT)
            .then(|| self::span_id(reader))
            .transpose()?;
        let name = self.text_if(wanted, reader)?;
        let op = when(has(flag::OP), || self.text_if(wanted, reader))?;
        let resource = listed(&self.resources, reader)?.clone();
        let start = before.start.wrapping_add_signed(reader.signed()?);
        before.start = start;
        let length = reader.number()?;
        let end = if has(flag::ENDS_BEFORE) {
            start.checked_sub(length)
        } else {
            start.checked_add(length)
        };
        let end = end.ok_or(Corrupt("a span ends outside of time"))?;
        let status = self.status(flags >> flag::STATUS_SHIFT & 3, wanted, reader)?;
        let event = when(has(flag::EVENT_KEYS), || {
            self.event_keys(wanted, reader, before).map(Some)
        })?;
        if !wanted {
            return Ok(None);
        }
        let attributes = when(has(flag::ATTRIBUTES), || self.attributes(reader, 0))?;
        let links = self.links(flags, reader)?;
        let events = when(has(flag::EVENTS), || self.events(start, reader))?;
        let trace_state = when(has(flag::TRACE_STATE), || self.text(reader))?;
        Ok(Some(Span {
            trace_id,
            span_id,
            parent_id,
            name: SpanName {
                stem: "",
                rest: name,
            },
            op,
            kind: SpanKind::from_number(i32::from(flags >> flag::KIND_SHIFT & 7)),
            start: Timestamp::from_nanos(start),
            end: Timestamp::from_nanos(end),
            status,
            pending: has(flag::PENDING),
            event,
            attributes,
            links,
            events,
            trace_state,
            resource,
        }))
    }

    /// Reads a text, or only over it.
    fn text_if(&mut self, wanted: bool, reader: &mut Reader<'_>) -> Result<Text, Corrupt> {
        if wanted {
            return self.text(reader);
        }
        reader.number()?;
        Ok(Text::EMPTY)
    }

    fn status(
        &mut self,
        status: u16,
        wanted: bool,
        reader: &mut Reader<'_>,
    ) -> Result<SpanStatus, Corrupt> {
        match status {
            0 => Ok(SpanStatus::Unset),
            flag::STATUS_OK => Ok(SpanStatus::Ok),
            flag::STATUS_ERROR => Ok(SpanStatus::Error(self.text_if(wanted, reader)?)),
            _ => Err(Corrupt("a status is none")),
        }
    }

    fn event_keys(
        &mut self,
        wanted: bool,
        reader: &mut Reader<'_>,
        before: &mut Before,
    ) -> Result<EventKeys, Corrupt> {
        let mut keys = EventKeys {
            event_type: self.text_if(wanted, reader)?,
            project_id: self.text_if(wanted, reader)?,
            command_id: self.text_if(wanted, reader)?,
            session_id: self.text_if(wanted, reader)?,
            seq: 0,
        };
        keys.seq = before.seq.wrapping_add_signed(reader.signed()?);
        before.seq = keys.seq;
        Ok(keys)
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
            return Ok(Links::SameTrace(listed(&self.links, reader)?.clone()));
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
fn when<T: Default>(
    present: bool,
    read: impl FnOnce() -> Result<T, Corrupt>,
) -> Result<T, Corrupt> {
    if present { read() } else { Ok(T::default()) }
}

/// The item of a list whose number stands next.
fn listed<'a, T>(list: &'a [T], reader: &mut Reader<'_>) -> Result<&'a T, Corrupt> {
    let number = reader.number()?;
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
