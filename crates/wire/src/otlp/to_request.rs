//! From spans to OTLP's messages.

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValueKind;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource as ResourceMessage;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span as SpanMessage, Status, span as parts,
};

use super::{ExportTraceServiceRequest, kept};
use crate::span::{Attribute, Link, Resource, Span, SpanEvent, SpanStatus, Text, Value};

/// How many groups a resource is compared with before it gets one of its own. Spans of one maker share
/// their resource by reference, so that comparing finds little; it must not cost the square of a request.
const COMPARED_GROUPS: usize = 32;

/// The spans as one request, grouped by resource and by scope.
#[must_use]
pub fn to_request(spans: &[Span]) -> ExportTraceServiceRequest {
    let mut groups = Groups::default();
    for span in spans {
        groups.of(&span.resource).spans.push(span_message(span));
    }
    ExportTraceServiceRequest {
        resource_spans: groups.resources,
    }
}

#[derive(Default)]
struct Groups {
    resources: Vec<ResourceSpans>,
    /// Where each resource went, by its address: an index of `resources`, and one of its scopes.
    places: HashMap<usize, (usize, usize)>,
}

impl Groups {
    fn of(&mut self, resource: &Arc<Resource>) -> &mut ScopeSpans {
        let address = Arc::as_ptr(resource).addr();
        let place = match self.places.get(&address) {
            Some(place) => *place,
            None => {
                let place = self.place(resource);
                self.places.insert(address, place);
                place
            }
        };
        &mut self.resources[place.0].scope_spans[place.1]
    }

    /// Finds or makes the group of a resource that has not been met at this address.
    fn place(&mut self, resource: &Resource) -> (usize, usize) {
        let (group, scope) = resource_messages(resource);
        let outer = self
            .resources
            .iter()
            .take(COMPARED_GROUPS)
            .position(|known| {
                known.resource == group.resource && known.schema_url == group.schema_url
            })
            .unwrap_or_else(|| {
                self.resources.push(group);
                self.resources.len() - 1
            });
        let scopes = &mut self.resources[outer].scope_spans;
        let inner = scopes
            .iter()
            .take(COMPARED_GROUPS)
            .position(|known| known.scope == scope.scope && known.schema_url == scope.schema_url)
            .unwrap_or_else(|| {
                scopes.push(scope);
                scopes.len() - 1
            });
        (outer, inner)
    }
}

/// The two messages, without spans, that a resource is in OTLP.
fn resource_messages(resource: &Resource) -> (ResourceSpans, ScopeSpans) {
    let mut message = ResourceMessage::default();
    let mut scope = InstrumentationScope {
        name: resource.scope_name.to_string(),
        version: resource.scope_version.to_string(),
        ..InstrumentationScope::default()
    };
    let mut schema_url = String::new();
    let mut scope_schema_url = String::new();
    for attribute in &resource.attributes {
        match (&*attribute.key, &attribute.value) {
            (kept::SCOPE_ATTRIBUTES, Value::Map(own)) => scope.attributes = key_values(own),
            (kept::RESOURCE_SCHEMA, Value::Text(url)) => schema_url = url.to_string(),
            (kept::SCOPE_SCHEMA, Value::Text(url)) => scope_schema_url = url.to_string(),
            (key, value) => {
                let field = match key {
                    kept::SCOPE_DROPPED => Some(&mut scope.dropped_attributes_count),
                    kept::DROPPED_ATTRIBUTES => Some(&mut message.dropped_attributes_count),
                    _ => None,
                };
                if !put_count(field, value) {
                    message.attributes.push(key_value(attribute));
                }
            }
        }
    }
    let outer = ResourceSpans {
        resource: Some(message),
        scope_spans: Vec::new(),
        schema_url,
    };
    let inner = ScopeSpans {
        scope: Some(scope),
        spans: Vec::new(),
        schema_url: scope_schema_url,
    };
    (outer, inner)
}

fn span_message(span: &Span) -> SpanMessage {
    let mut message = SpanMessage {
        trace_id: span.trace_id.to_bytes().to_vec(),
        span_id: span.span_id.to_bytes().to_vec(),
        trace_state: span.trace_state.to_string(),
        parent_span_id: span
            .parent_id
            .map(|id| id.to_bytes().to_vec())
            .unwrap_or_default(),
        name: span.name.to_string(),
        kind: i32::from(span.kind as u8),
        start_time_unix_nano: span.start.as_nanos(),
        end_time_unix_nano: span.end.as_nanos(),
        events: span.events.iter().map(event_message).collect(),
        links: span.links.iter(span.trace_id).map(link_message).collect(),
        status: status_message(&span.status),
        attributes: Vec::with_capacity(span.attributes.len() + 7),
        ..SpanMessage::default()
    };
    if !span.op.is_empty() {
        let op = Attribute::new("sentry.op", span.op.clone());
        message.attributes.push(key_value(&op));
    }
    if let Some(keys) = &span.event {
        let own = keys.attributes();
        message.attributes.extend(own.map(|own| key_value(&own)));
    }
    if span.pending {
        let pending = Attribute::new("hopline.pending", true);
        message.attributes.push(key_value(&pending));
    }
    for attribute in &span.attributes {
        let field = match &*attribute.key {
            kept::FLAGS => Some(&mut message.flags),
            kept::DROPPED_ATTRIBUTES => Some(&mut message.dropped_attributes_count),
            kept::DROPPED_EVENTS => Some(&mut message.dropped_events_count),
            kept::DROPPED_LINKS => Some(&mut message.dropped_links_count),
            _ => None,
        };
        if !put_count(field, &attribute.value) {
            message.attributes.push(key_value(attribute));
        }
    }
    message
}

fn event_message(event: &SpanEvent) -> parts::Event {
    let mut message = parts::Event {
        time_unix_nano: event.at.as_nanos(),
        name: event.name.to_string(),
        ..parts::Event::default()
    };
    for attribute in &event.attributes {
        let field = (&*attribute.key == kept::DROPPED_ATTRIBUTES)
            .then_some(&mut message.dropped_attributes_count);
        if !put_count(field, &attribute.value) {
            message.attributes.push(key_value(attribute));
        }
    }
    message
}

fn link_message(link: Link) -> parts::Link {
    let mut message = parts::Link {
        trace_id: link.trace_id.to_bytes().to_vec(),
        span_id: link.span_id.to_bytes().to_vec(),
        ..parts::Link::default()
    };
    for attribute in &link.attributes {
        if let (kept::LINK_TRACE_STATE, Value::Text(state)) = (&*attribute.key, &attribute.value) {
            message.trace_state = state.to_string();
            continue;
        }
        let field = match &*attribute.key {
            kept::FLAGS => Some(&mut message.flags),
            kept::DROPPED_ATTRIBUTES => Some(&mut message.dropped_attributes_count),
            _ => None,
        };
        if !put_count(field, &attribute.value) {
            message.attributes.push(key_value(attribute));
        }
    }
    message
}

fn status_message(status: &SpanStatus) -> Option<Status> {
    let (code, message) = match status {
        SpanStatus::Unset => return None,
        SpanStatus::Ok => (StatusCode::Ok, &Text::EMPTY),
        SpanStatus::Error(message) => (StatusCode::Error, message),
    };
    Some(Status {
        message: message.to_string(),
        code: code.into(),
    })
}

/// Puts a kept number into its field. Answers whether it went there: it does not if there is no such
/// field, if it is no number that the field could have held, or if the field is taken.
fn put_count(field: Option<&mut u32>, value: &Value) -> bool {
    let (Some(field), Value::Int(count)) = (field, value) else {
        return false;
    };
    match u32::try_from(*count) {
        Ok(count) if count > 0 && *field == 0 => {
            *field = count;
            true
        }
        _ => false,
    }
}

fn key_values(attributes: &[Attribute]) -> Vec<KeyValue> {
    attributes.iter().map(key_value).collect()
}

fn key_value(attribute: &Attribute) -> KeyValue {
    KeyValue {
        key: attribute.key.to_string(),
        value: Some(any_value(&attribute.value)),
        ..KeyValue::default()
    }
}

fn any_value(value: &Value) -> AnyValue {
    let value = match value {
        Value::Text(text) => Some(AnyValueKind::StringValue(text.to_string())),
        Value::Bool(value) => Some(AnyValueKind::BoolValue(*value)),
        Value::Int(value) => Some(AnyValueKind::IntValue(*value)),
        Value::Double(value) => Some(AnyValueKind::DoubleValue(*value)),
        Value::Bytes(bytes) => Some(AnyValueKind::BytesValue(bytes.to_vec())),
        Value::List(list) => Some(AnyValueKind::ArrayValue(ArrayValue {
            values: list.iter().map(any_value).collect(),
        })),
        Value::Map(map) => Some(AnyValueKind::KvlistValue(KeyValueList {
            values: key_values(map),
        })),
        Value::Empty => None,
    };
    AnyValue { value }
}
