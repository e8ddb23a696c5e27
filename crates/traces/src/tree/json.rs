//! A tree in JSON: `traceId`, `total` (how many spans the trace has; the tree may be of a part of them), `summary` of
//! the tree's own, and `spans`, the lines from the top.
//!
//! Times are nanoseconds: the trace's own start as a text, since it has more digits than JavaScript's
//! numbers, and all others as numbers counted from it. A linked line has the fields that it takes to show
//! it; the rest stands with the span's own line, which has the same `spanId`.

use hopline_wire::span::{Attribute, Links, Span, SpanEvent, SpanStatus, Value};
use hopline_wire::{SpanId, Timestamp, TraceId};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::{Entry, Place, Summary, Tree};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    trace_id: Option<TraceId>,
    /// Nanoseconds since 1970.
    start_unix_nano: String,
    start: Timestamp,
    duration_nanos: u64,
    total: u64,
    summary: Summary,
    spans: Lines<'a>,
}

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let summary = self.summary();
        let document = Document {
            trace_id: self.trace_id(),
            start_unix_nano: summary.start.as_nanos().to_string(),
            start: summary.start,
            duration_nanos: summary.end.nanos_since(summary.start),
            total: self.total,
            spans: Lines(self, summary.start),
            summary,
        };
        document.serialize(serializer)
    }
}

struct Lines<'a>(&'a Tree<'a>, Timestamp);

impl Serialize for Lines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.entries().len()))?;
        for entry in self.0.entries() {
            list.serialize_element(&Line::new(entry, self.0.span(entry), self.1))?;
        }
        list.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    depth: usize,
    place: Place,
    children: usize,
    span_id: SpanId,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<SpanId>,
    name: Shown<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    op: &'a str,
    service: String,
    kind: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    error: &'a str,
    #[serde(skip_serializing_if = "is_false")]
    pending: bool,
    offset_nanos: u64,
    duration_nanos: u64,
    #[serde(flatten)]
    more: Option<More<'a>>,
}

/// What only a span's own line has.
#[derive(Serialize)]
struct More<'a> {
    attributes: Attributes<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<LinkLine>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<EventLine<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LinkLine {
    trace_id: TraceId,
    span_id: SpanId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventLine<'a> {
    name: &'a str,
    offset_nanos: u64,
    attributes: Attributes<'a>,
}

impl<'a> Line<'a> {
    fn new(entry: &Entry, span: &'a Span, start: Timestamp) -> Self {
        let (status, error) = match &span.status {
            SpanStatus::Unset => ("unset", ""),
            SpanStatus::Ok => ("ok", ""),
            SpanStatus::Error(message) => ("error", &**message),
        };
        let own = entry.place != Place::Linked;
        Self {
            depth: entry.depth,
            place: entry.place,
            children: entry.children,
            span_id: span.span_id,
            parent_id: span.parent_id,
            name: Shown(span),
            op: &span.op,
            service: span.resource.service().to_string(),
            kind: span.kind.name().unwrap_or("unspecified"),
            status,
            error,
            pending: span.pending,
            offset_nanos: span.start.nanos_since(start),
            duration_nanos: span.duration_nanos(),
            more: own.then(|| More::new(span, start)),
        }
    }
}

impl<'a> More<'a> {
    fn new(span: &'a Span, start: Timestamp) -> Self {
        let event = |event: &'a SpanEvent| EventLine {
            name: &event.name,
            offset_nanos: event.at.nanos_since(start),
            attributes: Attributes(&event.attributes, None),
        };
        // Links to spans of the same trace show as linked lines.
        let links = match &span.links {
            Links::Any(links) => &links[..],
            _ => &[],
        };
        let elsewhere = links.iter().filter(|link| link.trace_id != span.trace_id);
        Self {
            attributes: Attributes(&span.attributes, Some(span)),
            links: elsewhere
                .map(|link| LinkLine {
                    trace_id: link.trace_id,
                    span_id: link.span_id,
                })
                .collect(),
            events: span.events.iter().map(event).collect(),
        }
    }
}

/// A span's name, which is made of two pieces.
struct Shown<'a>(&'a Span);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.name)
    }
}

/// Attributes as an object, with the event keys of a span before them.
struct Attributes<'a>(&'a [Attribute], Option<&'a Span>);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let keys = self.1.and_then(|span| span.event.as_ref());
        for attribute in keys.into_iter().flat_map(|keys| keys.attributes()) {
            map.serialize_entry(&*attribute.key, &Plain(&attribute.value))?;
        }
        for attribute in self.0 {
            map.serialize_entry(&*attribute.key, &Plain(&attribute.value))?;
        }
        map.end()
    }
}

/// A value as JSON has it. Values nest no deeper than their store keeps them.
pub(crate) struct Plain<'a>(pub(crate) &'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::Double(value) => serializer.serialize_f64(*value),
            Value::Bytes(bytes) => {
                let mut hex = String::with_capacity(bytes.len() * 2);
                for byte in &**bytes {
                    hex.extend(
                        [byte >> 4, byte & 15].map(|digit| {
                            char::from_digit(u32::from(digit), 16).unwrap_or_default()
                        }),
                    );
                }
                serializer.serialize_str(&hex)
            }
            Value::List(list) => serializer.collect_seq(list.iter().map(Plain)),
            Value::Map(map) => Attributes(map, None).serialize(serializer),
            Value::Empty => serializer.serialize_none(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_false(value: &bool) -> bool {
    !*value
}
