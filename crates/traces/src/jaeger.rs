//! Traces in the JSON of Jaeger's query service, as its own console, Grafana and others read them.
//!
//! The format is that of Jaeger's HTTP API: times in microseconds, attributes as lists of typed tags, who made a span as a
//! process that the span names.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hopline_wire::TraceId;
use hopline_wire::span::{Attribute, EventKeys, Resource, Span, SpanStatus, Value};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::tree::json::Plain;

/// A trace, or a part of it.
pub struct Jaeger<'a> {
    trace_id: TraceId,
    spans: &'a [Span],
    /// How many spans the trace has.
    total: u64,
    processes: Vec<&'a Resource>,
    /// Which process each span is of.
    process_of: HashMap<*const Resource, usize>,
}

impl<'a> Jaeger<'a> {
    /// The spans of a trace, which has `total` of them.
    #[must_use]
    pub fn of_part(trace_id: TraceId, spans: &'a [Span], total: u64) -> Self {
        let mut processes: Vec<&Resource> = Vec::new();
        let mut process_of = HashMap::new();
        // Read one by one, equal resources need not be the same.
        let mut known: HashMap<String, usize> = HashMap::new();
        for span in spans {
            process_of
                .entry(Arc::as_ptr(&span.resource))
                .or_insert_with(|| {
                    let resource: &Resource = &span.resource;
                    *known.entry(format!("{resource:?}")).or_insert_with(|| {
                        processes.push(resource);
                        processes.len() - 1
                    })
                });
        }
        Self {
            trace_id,
            spans,
            total,
            processes,
            process_of,
        }
    }

    fn process(&self, span: &Span) -> String {
        let number = self.process_of.get(&Arc::as_ptr(&span.resource));
        process_name(number.copied().unwrap_or_default())
    }
}

fn process_name(number: usize) -> String {
    format!("p{}", number + 1)
}

impl Serialize for Jaeger<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("traceID", &self.trace_id)?;
        map.serialize_entry("spans", &Each(self.spans, |span| SpanOf(span, self)))?;
        map.serialize_entry("processes", &Processes(&self.processes))?;
        let left_out = self.total - self.spans.len() as u64;
        let warnings = (left_out > 0).then(|| {
            [format!(
                "{left_out} of the trace's {} spans are left out",
                self.total
            )]
        });
        map.serialize_entry("warnings", &warnings)?;
        map.end()
    }
}

/// A list whose members are made as they are written.
struct Each<'a, T, F>(&'a [T], F);

impl<'a, T, M: Serialize, F: Fn(&'a T) -> M> Serialize for Each<'a, T, F> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(&self.1))
    }
}

struct Processes<'a>(&'a [&'a Resource]);

impl Serialize for Processes<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let processes = self.0.iter().enumerate();
        to.collect_map(
            processes.map(|(number, resource)| (process_name(number), Process(resource))),
        )
    }
}

struct Process<'a>(&'a Resource);

impl Serialize for Process<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry("serviceName", &*self.0.service())?;
        let tags = self.0.attributes.iter();
        let tags: Vec<_> = tags
            .filter(|attribute| &*attribute.key != "service.name")
            .map(Tag::of)
            .collect();
        map.serialize_entry("tags", &tags)?;
        map.end()
    }
}

struct SpanOf<'a>(&'a Span, &'a Jaeger<'a>);

impl Serialize for SpanOf<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(span, jaeger) = self;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("traceID", &span.trace_id)?;
        map.serialize_entry("spanID", &span.span_id)?;
        map.serialize_entry("flags", &1)?;
        map.serialize_entry("operationName", &span.name.to_string())?;
        map.serialize_entry("references", &references(span))?;
        map.serialize_entry("startTime", &(span.start.as_nanos() / 1_000))?;
        map.serialize_entry("duration", &(span.duration_nanos() / 1_000))?;
        map.serialize_entry("tags", &tags(span))?;
        let logs = span.events.iter().map(|event| {
            let name = Attribute::new("event", event.name.clone());
            let fields: Vec<_> = [&name]
                .into_iter()
                .chain(&event.attributes)
                .map(Tag::of)
                .collect();
            serde_json::json!({"timestamp": event.at.as_nanos() / 1_000, "fields": fields})
        });
        map.serialize_entry("logs", &logs.collect::<Vec<_>>())?;
        map.serialize_entry("processID", &jaeger.process(span))?;
        let warnings = span.pending.then_some(["the span has not finished"]);
        map.serialize_entry("warnings", &warnings)?;
        map.end()
    }
}

/// The span's parent, and the spans that it links.
fn references(span: &Span) -> Vec<serde_json::Value> {
    let reference = |kind, trace_id: TraceId, span_id| serde_json::json!({"refType": kind, "traceID": trace_id, "spanID": span_id});
    let parent = span
        .parent_id
        .map(|parent| reference("CHILD_OF", span.trace_id, parent));
    let links = span.links.iter(span.trace_id);
    let links = links.map(|link| reference("FOLLOWS_FROM", link.trace_id, link.span_id));
    parent.into_iter().chain(links).collect()
}

/// What a span says, and what Jaeger's console looks for among it: the kind, whether it failed and how.
fn tags(span: &Span) -> Vec<Tag> {
    let mut own = Vec::new();
    if !span.op.is_empty() {
        own.push(Attribute::new("sentry.op", span.op.clone()));
    }
    own.extend(
        span.kind
            .name()
            .map(|kind| Attribute::new("span.kind", kind)),
    );
    match &span.status {
        SpanStatus::Unset => {}
        SpanStatus::Ok => own.push(Attribute::new("otel.status_code", "OK")),
        SpanStatus::Error(message) => {
            own.push(Attribute::new("otel.status_code", "ERROR"));
            own.push(Attribute::new("error", true));
            if !message.is_empty() {
                own.push(Attribute::new("otel.status_description", message.clone()));
            }
        }
    }
    own.extend(span.event.iter().flat_map(EventKeys::attributes));
    own.iter().chain(&span.attributes).map(Tag::of).collect()
}

/// An attribute.
#[derive(serde::Serialize)]
struct Tag {
    key: String,
    #[serde(rename = "type")]
    kind: &'static str,
    value: serde_json::Value,
}

impl Tag {
    fn of(attribute: &Attribute) -> Self {
        // What JSON can always say.
        let plain = || serde_json::to_value(Plain(&attribute.value)).unwrap_or_default();
        let (kind, value) = match &attribute.value {
            Value::Bool(_) => ("bool", plain()),
            Value::Int(_) => ("int64", plain()),
            Value::Double(number) if number.is_finite() => ("float64", plain()),
            Value::Text(_) => ("string", plain()),
            Value::Bytes(bytes) => ("binary", STANDARD.encode(bytes).into()),
            // Tags have no members.
            Value::Double(number) => ("string", number.to_string().into()),
            Value::List(_) | Value::Map(_) => ("string", plain().to_string().into()),
            Value::Empty => ("string", "".into()),
        };
        Self {
            key: attribute.key.to_string(),
            kind,
            value,
        }
    }
}
