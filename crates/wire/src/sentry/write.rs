//! Spans and failures as envelopes, the way Sentry's SDKs write them ("Span Protocol", "Event Payloads").
//!
//! What the second version of spans has no field for stands in attributes, so that [`super::spans`] reads back what was
//! written: the key's own names for the event and the op, the resource's attributes beside the span's.

use std::fmt::Write as _;

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::json;
use serde_json::value::RawValue;

use super::kept;
use super::spans::SPANS_V2;
use crate::baggage::SamplingContext;
use crate::ids::TraceId;
use crate::span::{Attribute, EventKeys, Links, Span, SpanEvent, SpanKind, SpanStatus, Value};
use crate::time::Timestamp;

/// How many spans an envelope may hold.
pub const MAX_SPANS: usize = 1_000;

/// The content type of envelopes.
pub const ENVELOPE: &str = "application/x-sentry-envelope";

/// The name by which this program introduces itself.
pub const CLIENT: &str = concat!("hopline/", env!("CARGO_PKG_VERSION"));

/// An envelope of spans of one trace, at most [`MAX_SPANS`].
#[must_use]
pub fn spans<'a>(context: &SamplingContext, spans: impl Iterator<Item = &'a Span>) -> Vec<u8> {
    let items: Vec<_> = spans.map(Written).collect();
    let payload = json_bytes(&ItemList { items: &items });
    let header = json!({"sent_at": now(), "sdk": sdk(), "trace": Context(context)});
    let item = json!({"type": "span", "item_count": items.len(), "content_type": SPANS_V2, "length": payload.len()});
    envelope(&header, &item, &payload)
}

/// An envelope of the error event that a failed span is. Its id is made of the span's, so that it is one event however often
/// it is sent.
#[must_use]
pub fn failure(context: &SamplingContext, span: &Span) -> Vec<u8> {
    let event_id = event_id(span);
    let text = |key: &str| match span.attribute(key) {
        Some(Value::Text(text)) => Some(text.to_string()),
        _ => None,
    };
    let message = match &span.status {
        SpanStatus::Error(message) => message.to_string(),
        _ => String::new(),
    };
    let mut tags = serde_json::Map::new();
    for attribute in span.event.iter().flat_map(EventKeys::attributes) {
        if let Value::Text(text) = attribute.value {
            tags.insert(attribute.key.to_string(), text.to_string().into());
        }
    }
    let event = json!({
        "event_id": event_id,
        "timestamp": seconds(span.end),
        "level": "error",
        "platform": "other",
        "logger": &*span.op,
        "transaction": span.name.to_string(),
        "release": context.release,
        "environment": context.environment,
        "server_name": resource_text(span, "host.name"),
        "sdk": sdk(),
        "exception": {"values": [{
            "type": text("error.type").unwrap_or_else(|| "failed".to_owned()),
            "value": message,
        }]},
        "contexts": {"trace": {
            "trace_id": span.trace_id.to_string(),
            "span_id": span.span_id.to_string(),
            "parent_span_id": span.parent_id.map(|id| id.to_string()),
            "op": &*span.op,
            "status": "internal_error",
        }},
        "tags": tags,
    });
    let payload = json_bytes(&event);
    let header =
        json!({"event_id": event_id, "sent_at": now(), "sdk": sdk(), "trace": Context(context)});
    let item =
        json!({"type": "event", "content_type": "application/json", "length": payload.len()});
    envelope(&header, &item, &payload)
}

/// 32 hexadecimal digits, as event ids have.
fn event_id(span: &Span) -> String {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(format!("{}-{}", span.trace_id, span.span_id));
    digest.iter().take(16).fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

fn envelope(header: &impl Serialize, item: &impl Serialize, payload: &[u8]) -> Vec<u8> {
    let mut envelope = json_bytes(header);
    envelope.push(b'\n');
    envelope.append(&mut json_bytes(item));
    envelope.push(b'\n');
    envelope.extend_from_slice(payload);
    envelope.push(b'\n');
    envelope
}

/// What consists of texts, numbers and lists of them can always be written.
fn json_bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn now() -> String {
    Timestamp::now().to_string()
}

fn sdk() -> serde_json::Value {
    json!({"name": "hopline", "version": env!("CARGO_PKG_VERSION")})
}

/// Seconds with all nine digits: as a floating-point number it would lose the last two.
fn seconds(at: Timestamp) -> Box<RawValue> {
    let nanos = at.as_nanos();
    let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    // Digits and a point are a number.
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn resource_text(span: &Span, key: &str) -> Option<String> {
    let attributes = span.resource.attributes.iter();
    let mut found = attributes.filter(|attribute| &*attribute.key == key);
    match found.next().map(|attribute| &attribute.value) {
        Some(Value::Text(text)) => Some(text.to_string()),
        _ => None,
    }
}

/// A dynamic sampling context: all its values are texts.
struct Context<'a>(&'a SamplingContext);

impl Serialize for Context<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let context = self.0;
        let number = |number: Option<f64>| number.map(|number| number.to_string());
        let members = [
            (
                "trace_id",
                context.trace_id.map(|id: TraceId| id.to_string()),
            ),
            ("public_key", context.public_key.clone()),
            ("sample_rate", number(context.sample_rate)),
            ("sample_rand", number(context.sample_rand)),
            (
                "sampled",
                context.sampled.map(|sampled| sampled.to_string()),
            ),
            ("release", context.release.clone()),
            ("environment", context.environment.clone()),
            ("transaction", context.transaction.clone()),
            ("org_id", context.org_id.clone()),
        ];
        let present = members
            .into_iter()
            .filter_map(|(key, text)| Some((key, text?)));
        to.collect_map(present)
    }
}

#[derive(Serialize)]
struct ItemList<'a> {
    items: &'a [Written<'a>],
}

/// A span of the second version.
struct Written<'a>(&'a Span);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let span = self.0;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("trace_id", &span.trace_id.to_string())?;
        map.serialize_entry("span_id", &span.span_id.to_string())?;
        if let Some(parent) = span.parent_id {
            map.serialize_entry("parent_span_id", &parent.to_string())?;
        }
        map.serialize_entry("name", &span.name.to_string())?;
        let status = match span.status {
            SpanStatus::Error(_) => "error",
            // There is no third.
            SpanStatus::Unset | SpanStatus::Ok => "ok",
        };
        map.serialize_entry("status", status)?;
        map.serialize_entry("is_segment", &is_segment(span))?;
        map.serialize_entry("start_timestamp", &seconds(span.start))?;
        map.serialize_entry("end_timestamp", &seconds(span.end.max(span.start)))?;
        map.serialize_entry("attributes", &AttributesOf(span))?;
        let links: Vec<_> = match &span.links {
            Links::None => Vec::new(),
            links => links.iter(span.trace_id).collect(),
        };
        if !links.is_empty() {
            let links = links.iter().map(|link| {
                json!({
                    "trace_id": link.trace_id.to_string(),
                    "span_id": link.span_id.to_string(),
                    "attributes": Typed(&link.attributes),
                })
            });
            map.serialize_entry("links", &links.collect::<Vec<_>>())?;
        }
        map.end()
    }
}

/// Whether the span is the first of its process: a trace's root, or what came in from elsewhere.
fn is_segment(span: &Span) -> bool {
    if let Some(Value::Bool(said)) = span.attribute(kept::IS_SEGMENT) {
        return said;
    }
    let comes_in = matches!(span.kind, SpanKind::Server | SpanKind::Consumer);
    span.parent_id.is_none() || comes_in
}

/// All that a span says in attributes; the span's own before its maker's.
struct AttributesOf<'a>(&'a Span);

impl Serialize for AttributesOf<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let span = self.0;
        let mut map = to.serialize_map(None)?;
        // Those that stand for fields: an attribute of the same key would be a second one of it.
        let mut written: Vec<&str> = vec![
            kept::IS_SEGMENT,
            kept::OP,
            kept::KIND,
            kept::STATUS_MESSAGE,
            kept::EVENTS,
            kept::TRACE_STATE,
        ];
        let event = span.event.iter().flat_map(EventKeys::attributes);
        let event: Vec<_> = event.collect();
        written.extend(event.iter().map(|attribute| &*attribute.key));
        if !span.op.is_empty() {
            map.serialize_entry(kept::OP, &TypedValue(&Value::Text(span.op.clone())))?;
        }
        if let Some(kind) = span.kind.name() {
            map.serialize_entry(kept::KIND, &TypedValue(&kind.into()))?;
        }
        if let SpanStatus::Error(message) = &span.status
            && !message.is_empty()
        {
            let message = Value::Text(message.clone());
            map.serialize_entry(kept::STATUS_MESSAGE, &TypedValue(&message))?;
        }
        for attribute in &event {
            map.serialize_entry(&*attribute.key, &TypedValue(&attribute.value))?;
        }
        if !span.events.is_empty() {
            let events = Value::from(events_text(&span.events));
            map.serialize_entry(kept::EVENTS, &TypedValue(&events))?;
        }
        if !span.trace_state.is_empty() {
            let state = Value::Text(span.trace_state.clone());
            map.serialize_entry(kept::TRACE_STATE, &TypedValue(&state))?;
        }
        let resource = span.resource.attributes.iter();
        for attribute in span.attributes.iter().chain(resource) {
            // Of one key the first: a reader would keep the last.
            if !written.contains(&&*attribute.key) {
                written.push(&attribute.key);
                map.serialize_entry(&*attribute.key, &TypedValue(&attribute.value))?;
            }
        }
        map.end()
    }
}

/// Attributes with their types.
struct Typed<'a>(&'a [Attribute]);

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let all = self.0.iter();
        to.collect_map(all.map(|one| (&*one.key, TypedValue(&one.value))))
    }
}

struct TypedValue<'a>(&'a Value);

impl Serialize for TypedValue<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Members {
            #[serde(rename = "type")]
            kind: &'static str,
            value: serde_json::Value,
        }
        let kind = match self.0 {
            Value::Bool(_) => "boolean",
            Value::Int(_) => "integer",
            // What is no number has no place in JSON but as a text.
            Value::Double(number) if number.is_finite() => "double",
            Value::List(_) => "array",
            _ => "string",
        };
        let value = match self.0 {
            // There is no type for what has members.
            Value::Map(_) => plain(self.0).to_string().into(),
            value => plain(value),
        };
        Members { kind, value }.serialize(to)
    }
}

fn plain(value: &Value) -> serde_json::Value {
    use base64::Engine as _;
    match value {
        Value::Text(text) => text.to_string().into(),
        Value::Bool(value) => (*value).into(),
        Value::Int(number) => (*number).into(),
        Value::Double(number) if number.is_finite() => (*number).into(),
        Value::Double(number) => number.to_string().into(),
        Value::Bytes(bytes) => base64::engine::general_purpose::STANDARD
            .encode(bytes)
            .into(),
        Value::List(list) => list.iter().map(plain).collect(),
        Value::Map(members) => object(members),
        Value::Empty => String::new().into(),
    }
}

fn object(members: &[Attribute]) -> serde_json::Value {
    let members = members.iter();
    members
        .map(|one| (one.key.to_string(), plain(&one.value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// What happened within a span, as a text, since the format has no place for it.
fn events_text(events: &[SpanEvent]) -> String {
    #[derive(Serialize)]
    struct Members<'a> {
        at: Box<RawValue>,
        name: &'a str,
        attributes: Typed<'a>,
    }
    let events = events.iter().map(|event| Members {
        at: seconds(event.at),
        name: &event.name,
        attributes: Typed(&event.attributes),
    });
    let events: Vec<_> = events.collect();
    serde_json::to_string(&events).unwrap_or_default()
}
