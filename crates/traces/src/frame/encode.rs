//! Writing frames.

use std::sync::Arc;

use hashbrown::HashMap;
use hopline_wire::TraceId;
use hopline_wire::span::{
    Attribute, EventKeys, Links, Resource, Span, SpanEvent, SpanName, SpanStatus, Value,
};

use super::bytes::{put_bytes, put_length, put_number, put_signed};
use super::dictionary::Dictionary;
use super::record::{Before, LONG_TEXT_BYTES, MAX_DEPTH, TOO_DEEP, flag, tag};
use super::{HEADER_BYTES, Header, Kind};

/// A frame is closed when its payload has about this many bytes, so that finding one trace never means
/// reading much more than its own spans.
const CLOSE_AT: usize = 256 << 10;

/// How many recent names are remembered: a power of two.
const RECENT_NAMES: usize = 64;

/// Writes frames, reusing its tables from one to the next.
pub(crate) struct FrameEncoder {
    tables: Tables,
    /// The trace ids as they will be written, and each one's number.
    trace_bytes: Vec<u8>,
    traces: HashMap<TraceId, usize>,
    last_trace: Option<(TraceId, usize)>,
    records: Vec<u8>,
    record: Vec<u8>,
    before: Before,
    payload: Vec<u8>,
}

/// A frame that was appended to a buffer.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// How many of the spans are in it.
    pub(crate) spans: usize,
    /// Their distinct traces.
    pub(crate) traces: Vec<TraceId>,
}

impl FrameEncoder {
    pub(crate) fn new() -> Self {
        Self {
            tables: Tables::new(),
            trace_bytes: Vec::new(),
            traces: HashMap::new(),
            last_trace: None,
            records: Vec::new(),
            record: Vec::new(),
            before: Before::default(),
            payload: Vec::new(),
        }
    }

    /// Appends one frame of the first of `spans` to `out`, as many as fit: at least one. None if that one
    /// is too large for any frame; then `out` is as it was.
    pub(crate) fn encode(&mut self, spans: &[Span], out: &mut Vec<u8>) -> Option<Encoded> {
        let count = self.fill(spans, CLOSE_AT);
        let header = Header::for_payload(Kind::Spans, &self.payload)?;
        out.reserve(HEADER_BYTES + self.payload.len());
        out.extend_from_slice(&header.to_bytes());
        out.extend_from_slice(&self.payload);
        Some(Encoded {
            spans: count,
            traces: self.traces.keys().copied().collect(),
        })
    }

    /// The payload of a frame of all these spans.
    pub(crate) fn payload(&mut self, spans: &[Span]) -> &[u8] {
        self.fill(spans, usize::MAX);
        &self.payload
    }

    /// Writes the payload of the first of `spans`, until it has about so many bytes; says how many they are.
    fn fill(&mut self, spans: &[Span], close_at: usize) -> usize {
        self.clear();
        let mut count = 0;
        for span in spans {
            self.span(span);
            count += 1;
            if self.records.len() + self.tables.bytes() + self.trace_bytes.len() >= close_at {
                break;
            }
        }
        self.payload.clear();
        put_length(&mut self.payload, count);
        put_length(&mut self.payload, self.traces.len());
        self.payload.extend_from_slice(&self.trace_bytes);
        self.tables.write(&mut self.payload);
        self.payload.extend_from_slice(&self.records);
        count
    }

    /// Gives back the memory of unusually large frames.
    pub(crate) fn shrink(&mut self) {
        for buffer in [&mut self.records, &mut self.record, &mut self.payload] {
            buffer.clear();
            buffer.shrink_to(4 * CLOSE_AT);
        }
        self.tables.shrink();
    }

    fn clear(&mut self) {
        self.tables.clear();
        self.trace_bytes.clear();
        self.traces.clear();
        self.last_trace = None;
        self.records.clear();
        self.before = Before::default();
    }

    fn trace_number(&mut self, trace: TraceId) -> usize {
        if let Some((last, number)) = self.last_trace
            && last == trace
        {
            return number;
        }
        let next = self.traces.len();
        let number = *self.traces.entry(trace).or_insert_with(|| {
            self.trace_bytes.extend_from_slice(&trace.to_bytes());
            next
        });
        self.last_trace = Some((trace, number));
        number
    }

    fn span(&mut self, span: &Span) {
        let trace = self.trace_number(span.trace_id);
        self.record.clear();
        let out = &mut self.record;
        let tables = &mut self.tables;
        out.extend_from_slice(&flags(span).to_le_bytes());
        put_length(out, trace);
        out.extend_from_slice(&span.span_id.to_bytes());
        if let Some(parent) = span.parent_id {
            out.extend_from_slice(&parent.to_bytes());
        }
        put_number(out, tables.name(&span.name));
        if !span.op.is_empty() {
            put_number(out, tables.text(&span.op));
        }
        put_number(out, tables.resource(&span.resource));
        let start = span.start.as_nanos();
        let after = start.wrapping_sub(self.before.start).cast_signed();
        put_signed(out, after);
        self.before.start = start;
        put_number(out, span.end.as_nanos().abs_diff(start));
        if let SpanStatus::Error(description) = &span.status {
            put_number(out, tables.text(description));
        }
        if let Some(keys) = &span.event {
            put_event_keys(out, tables, keys, &mut self.before);
        }
        if !span.attributes.is_empty() {
            put_attributes(out, tables, &span.attributes, 0);
        }
        put_links(out, tables, &span.links);
        if !span.events.is_empty() {
            put_events(out, tables, start, &span.events);
        }
        if !span.trace_state.is_empty() {
            put_number(out, tables.text(&span.trace_state));
        }
        put_bytes(&mut self.records, &self.record);
    }
}

fn flags(span: &Span) -> u16 {
    let when = |condition: bool, bit: u16| if condition { bit } else { 0 };
    let links = match &span.links {
        Links::None => 0,
        Links::SameTrace(_) => flag::SHARED_LINKS,
        Links::Any(_) => flag::LINKS,
    };
    let status = match &span.status {
        SpanStatus::Unset => 0,
        SpanStatus::Ok => flag::STATUS_OK,
        SpanStatus::Error(_) => flag::STATUS_ERROR,
    };
    when(span.parent_id.is_some(), flag::PARENT)
        | when(span.pending, flag::PENDING)
        | when(span.event.is_some(), flag::EVENT_KEYS)
        | links
        | when(!span.events.is_empty(), flag::EVENTS)
        | when(!span.trace_state.is_empty(), flag::TRACE_STATE)
        | when(!span.attributes.is_empty(), flag::ATTRIBUTES)
        | u16::from(span.kind as u8) << flag::KIND_SHIFT
        | status << flag::STATUS_SHIFT
        | when(!span.op.is_empty(), flag::OP)
        | when(span.end < span.start, flag::ENDS_BEFORE)
}

fn put_event_keys(out: &mut Vec<u8>, tables: &mut Tables, keys: &EventKeys, before: &mut Before) {
    let texts = [
        &keys.event_type,
        &keys.project_id,
        &keys.command_id,
        &keys.session_id,
    ];
    for text in texts {
        put_number(out, tables.text(text));
    }
    put_signed(out, keys.seq.wrapping_sub(before.seq).cast_signed());
    before.seq = keys.seq;
}

fn put_attributes(out: &mut Vec<u8>, tables: &mut Tables, attributes: &[Attribute], depth: usize) {
    put_length(out, attributes.len());
    for attribute in attributes {
        put_number(out, tables.text(&attribute.key));
        put_value(out, tables, &attribute.value, depth);
    }
}

fn put_value(out: &mut Vec<u8>, tables: &mut Tables, value: &Value, depth: usize) {
    match value {
        Value::Empty => out.push(tag::EMPTY),
        Value::Bool(value) => out.push(if *value { tag::TRUE } else { tag::FALSE }),
        Value::Int(value) => put_int(out, *value),
        Value::Double(value) => put_double(out, *value),
        Value::Text(text) if text.len() <= LONG_TEXT_BYTES => {
            out.push(tag::TEXT);
            put_number(out, tables.text(text));
        }
        Value::Text(text) => {
            out.push(tag::LONG_TEXT);
            put_bytes(out, text.as_bytes());
        }
        Value::Bytes(bytes) => {
            out.push(tag::BYTES);
            put_bytes(out, bytes);
        }
        Value::List(_) | Value::Map(_) if depth == MAX_DEPTH => {
            out.push(tag::LONG_TEXT);
            put_bytes(out, TOO_DEEP.as_bytes());
        }
        Value::List(list) => {
            out.push(tag::LIST);
            put_length(out, list.len());
            for value in &**list {
                put_value(out, tables, value, depth + 1);
            }
        }
        Value::Map(map) => {
            out.push(tag::MAP);
            put_attributes(out, tables, map, depth + 1);
        }
    }
}

fn put_int(out: &mut Vec<u8>, value: i64) {
    match u8::try_from(value) {
        Ok(small) if small <= u8::MAX - tag::SMALL_INT => out.push(tag::SMALL_INT + small),
        _ => {
            out.push(tag::INT);
            put_signed(out, value);
        }
    }
}

fn put_double(out: &mut Vec<u8>, value: f64) {
    // The largest number of millionths that is shorter than the eight bytes of the number itself.
    const SHORTER: f64 = (1_u64 << 42) as f64;
    let millionths = (value * 1e6).round();
    let exact = (millionths / 1e6).to_bits() == value.to_bits();
    if exact && (0.0..SHORTER).contains(&millionths) {
        out.push(tag::MILLIONTHS);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, and in range"
        )]
        put_number(out, millionths as u64);
    } else {
        out.push(tag::DOUBLE);
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}

fn put_links(out: &mut Vec<u8>, tables: &mut Tables, links: &Links) {
    match links {
        Links::None => {}
        Links::SameTrace(ids) => put_number(out, tables.links(ids)),
        Links::Any(links) => {
            put_length(out, links.len());
            for link in links {
                out.extend_from_slice(&link.trace_id.to_bytes());
                out.extend_from_slice(&link.span_id.to_bytes());
                put_attributes(out, tables, &link.attributes, 0);
            }
        }
    }
}

fn put_events(out: &mut Vec<u8>, tables: &mut Tables, start: u64, events: &[SpanEvent]) {
    put_length(out, events.len());
    for event in events {
        let after = event.at.as_nanos().wrapping_sub(start).cast_signed();
        put_signed(out, after);
        put_number(out, tables.text(&event.name));
        put_attributes(out, tables, &event.attributes, 0);
    }
}

/// What a frame's records refer to by number.
struct Tables {
    texts: Dictionary<512>,
    names: Box<[RecentName; RECENT_NAMES]>,
    links: Dictionary<16>,
    /// The bytes of one link list while it is looked up.
    link_bytes: Vec<u8>,
    /// Resources by address: spans of one maker share theirs.
    resources: HashMap<usize, u64>,
    resource_bytes: Vec<u8>,
    last_resource: (usize, u64),
}

/// The name that was made of a stem and a rest at these addresses.
#[derive(Clone, Copy, Default, PartialEq)]
struct RecentName {
    stem: (usize, usize),
    rest: (usize, usize),
    text: u64,
}

impl Tables {
    fn new() -> Self {
        Self {
            texts: Dictionary::new(),
            names: Box::new([RecentName::default(); RECENT_NAMES]),
            links: Dictionary::new(),
            link_bytes: Vec::new(),
            resources: HashMap::new(),
            resource_bytes: Vec::new(),
            last_resource: (0, 0),
        }
    }

    fn clear(&mut self) {
        self.texts.clear();
        self.names.fill(RecentName::default());
        self.links.clear();
        self.resources.clear();
        self.resource_bytes.clear();
        // No allocation has this address.
        self.last_resource = (0, 0);
    }

    fn shrink(&mut self) {
        self.texts.shrink(4 * CLOSE_AT);
        self.links.shrink(4 * CLOSE_AT);
        self.resource_bytes.clear();
        self.resource_bytes.shrink_to(CLOSE_AT);
    }

    const fn bytes(&self) -> usize {
        self.texts.written_bytes() + self.links.written_bytes() + self.resource_bytes.len()
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.texts.write(out);
        put_length(out, self.resources.len());
        out.extend_from_slice(&self.resource_bytes);
        self.links.write(out);
    }

    #[inline]
    fn text(&mut self, text: &str) -> u64 {
        if text.is_empty() {
            return 0;
        }
        u64::from(self.texts.number_of(text.as_bytes())) + 1
    }

    fn name(&mut self, name: &SpanName) -> u64 {
        if name.stem.is_empty() || name.rest.is_empty() {
            let one = if name.stem.is_empty() {
                &*name.rest
            } else {
                name.stem
            };
            return self.text(one);
        }
        let at = |text: &str| (text.as_ptr().addr(), text.len());
        let (stem, rest) = (at(name.stem), at(&name.rest));
        let slot = ((stem.0 >> 3) ^ (rest.0 >> 4)) % RECENT_NAMES;
        let recent = &self.names[slot];
        if recent.stem == stem && recent.rest == rest {
            return recent.text;
        }
        let mut whole = String::with_capacity(name.len());
        whole.push_str(name.stem);
        whole.push_str(&name.rest);
        let text = u64::from(self.texts.number_by_content(whole.as_bytes())) + 1;
        self.names[slot] = RecentName { stem, rest, text };
        text
    }

    fn links(&mut self, ids: &Arc<[hopline_wire::SpanId]>) -> u64 {
        let address = ids.as_ptr().addr();
        if let Some(number) = self.links.recall(address, ids.len()) {
            return number.into();
        }
        self.link_bytes.clear();
        for id in &**ids {
            self.link_bytes.extend_from_slice(&id.to_bytes());
        }
        let number = self.links.number_by_content(&self.link_bytes);
        self.links.remember(address, ids.len(), number);
        number.into()
    }

    fn resource(&mut self, resource: &Arc<Resource>) -> u64 {
        let address = Arc::as_ptr(resource).addr();
        if self.last_resource.0 == address {
            return self.last_resource.1;
        }
        let number = match self.resources.get(&address) {
            Some(number) => *number,
            None => {
                let number = self.resources.len() as u64;
                self.resources.insert(address, number);
                let mut out = std::mem::take(&mut self.resource_bytes);
                put_attributes(&mut out, self, &resource.attributes, 0);
                put_number(&mut out, self.text(&resource.scope_name));
                put_number(&mut out, self.text(&resource.scope_version));
                self.resource_bytes = out;
                number
            }
        };
        self.last_resource = (address, number);
        number
    }
}
