//! From OTLP's messages to spans.

use std::collections::HashSet;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValueKind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource as ResourceMessage;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span as SpanMessage, span as parts};

use super::{ExportTraceServiceRequest, Refused, RefusedReason, kept};
use crate::ids::{SpanId, TraceId};
use crate::span::{
    Attribute, EventKeys, Link, Links, Resource, Span, SpanEvent, SpanKind, SpanName, SpanStatus,
    Text, Value,
};
use crate::time::Timestamp;

/// The most attributes of resources that one request may have copied, all its scopes together. A
/// resource is kept once for each scope of its, so a small message could otherwise ask for a great deal.
pub(super) const RESOURCE_ATTRIBUTES: usize = 1 << 20;

/// Converts the spans of a request and appends them to `out`. What could not be taken is counted in the
/// answer, each reason once.
pub fn from_request(request: ExportTraceServiceRequest, out: &mut Vec<Span>) -> Vec<Refused> {
    let mut reader = Reader::default();
    for resource_spans in request.resource_spans {
        let mut shared = reader.resource(resource_spans.resource.unwrap_or_default());
        keep_text(
            &mut shared,
            kept::RESOURCE_SCHEMA,
            &resource_spans.schema_url,
        );
        for scope_spans in resource_spans.scope_spans {
            if scope_spans.spans.is_empty() {
                continue;
            }
            reader.resource_attributes += shared.len();
            if reader.resource_attributes > RESOURCE_ATTRIBUTES {
                for _ in &scope_spans.spans {
                    Refused::count_in(&mut reader.refused, RefusedReason::Resource);
                }
                continue;
            }
            let scope = scope_spans.scope.unwrap_or_default();
            let scope = reader.scope(scope, &scope_spans.schema_url);
            let resource = resource_of(shared.clone(), scope);
            out.reserve(scope_spans.spans.len());
            for message in scope_spans.spans {
                match reader.span(message, &resource) {
                    Ok(span) => out.push(span),
                    Err(reason) => Refused::count_in(&mut reader.refused, reason),
                }
            }
        }
    }
    reader.refused
}

/// The attribute keys of a request, so that each is one allocation for all of it.
#[derive(Default)]
pub(super) struct Keys(HashSet<Arc<str>>);

impl Keys {
    pub(super) fn text(&mut self, key: &str) -> Text {
        if let Some(known) = self.0.get(key) {
            return Text::Shared(Arc::clone(known));
        }
        let key: Arc<str> = key.into();
        self.0.insert(Arc::clone(&key));
        Text::Shared(key)
    }
}

/// What is shared while one request is read.
#[derive(Default)]
struct Reader {
    keys: Keys,
    resource_attributes: usize,
    refused: Vec<Refused>,
}

impl Reader {
    fn attributes(&mut self, messages: Vec<KeyValue>, room: usize) -> Vec<Attribute> {
        let mut attributes = Vec::with_capacity(messages.len() + room);
        attributes.extend(messages.into_iter().map(|message| self.attribute(message)));
        attributes
    }

    fn attribute(&mut self, message: KeyValue) -> Attribute {
        Attribute {
            key: self.keys.text(&message.key),
            value: self.value(message.value),
        }
    }

    fn value(&mut self, message: Option<AnyValue>) -> Value {
        match message.and_then(|message| message.value) {
            Some(AnyValueKind::StringValue(text)) => Value::Text(text.into()),
            Some(AnyValueKind::BoolValue(value)) => Value::Bool(value),
            Some(AnyValueKind::IntValue(value)) => Value::Int(value),
            Some(AnyValueKind::DoubleValue(value)) => Value::Double(value),
            Some(AnyValueKind::BytesValue(bytes)) => Value::Bytes(bytes.into()),
            Some(AnyValueKind::ArrayValue(list)) => {
                let values = list.values.into_iter();
                Value::List(values.map(|value| self.value(Some(value))).collect())
            }
            Some(AnyValueKind::KvlistValue(map)) => {
                let values = map.values.into_iter();
                Value::Map(values.map(|value| self.attribute(value)).collect())
            }
            // The index into a table of texts belongs to profiles, and has no table here.
            Some(AnyValueKind::StringValueStrindex(_)) | None => Value::Empty,
        }
    }

    fn resource(&mut self, message: ResourceMessage) -> Vec<Attribute> {
        let mut attributes = self.attributes(message.attributes, 2);
        keep_count(
            &mut attributes,
            kept::DROPPED_ATTRIBUTES,
            message.dropped_attributes_count,
        );
        attributes
    }

    fn scope(&mut self, scope: InstrumentationScope, schema_url: &str) -> ScopeParts {
        ScopeParts {
            name: text(&scope.name),
            version: text(&scope.version),
            attributes: self.attributes(scope.attributes, 0),
            dropped: scope.dropped_attributes_count,
            schema_url: text(schema_url),
        }
    }

    fn span(
        &mut self,
        message: SpanMessage,
        resource: &Arc<Resource>,
    ) -> Result<Span, RefusedReason> {
        let trace_id = trace_id(&message.trace_id).ok_or(RefusedReason::TraceId)?;
        let span_id = span_id(&message.span_id).ok_or(RefusedReason::SpanId)?;
        let parent_id = parent_id(&message.parent_span_id)?;
        let mut span = Span {
            trace_id,
            span_id,
            parent_id,
            name: SpanName {
                stem: "",
                rest: text(&message.name),
            },
            op: Text::EMPTY,
            kind: SpanKind::from_number(message.kind),
            start: Timestamp::from_nanos(message.start_time_unix_nano),
            end: Timestamp::from_nanos(message.end_time_unix_nano),
            status: message.status.map_or(SpanStatus::Unset, |status| {
                status_of(status.code, &status.message)
            }),
            pending: false,
            event: None,
            attributes: Vec::with_capacity(message.attributes.len()),
            links: links_of(trace_id, self.links(message.links)),
            events: message.events.into_iter().map(|e| self.event(e)).collect(),
            trace_state: text(&message.trace_state),
            resource: Arc::clone(resource),
        };
        for attribute in message.attributes {
            let attribute = self.attribute(attribute);
            if let Some(other) = take_field(&mut span, attribute) {
                span.attributes.push(other);
            }
        }
        let counts = [
            message.flags,
            message.dropped_attributes_count,
            message.dropped_events_count,
            message.dropped_links_count,
        ];
        keep_counts(&mut span.attributes, counts);
        Ok(span)
    }

    fn event(&mut self, message: parts::Event) -> SpanEvent {
        let mut attributes = self.attributes(message.attributes, 0);
        keep_count(
            &mut attributes,
            kept::DROPPED_ATTRIBUTES,
            message.dropped_attributes_count,
        );
        SpanEvent {
            at: Timestamp::from_nanos(message.time_unix_nano),
            name: text(&message.name),
            attributes,
        }
    }

    fn links(&mut self, messages: Vec<parts::Link>) -> Vec<Link> {
        let mut links = Vec::with_capacity(messages.len());
        for message in messages {
            let ids = (trace_id(&message.trace_id), span_id(&message.span_id));
            let (Some(trace_id), Some(span_id)) = ids else {
                Refused::count_in(&mut self.refused, RefusedReason::Link);
                continue;
            };
            let mut attributes = self.attributes(message.attributes, 0);
            keep_text(
                &mut attributes,
                kept::LINK_TRACE_STATE,
                &message.trace_state,
            );
            keep_count(&mut attributes, kept::FLAGS, message.flags);
            keep_count(
                &mut attributes,
                kept::DROPPED_ATTRIBUTES,
                message.dropped_attributes_count,
            );
            links.push(Link {
                trace_id,
                span_id,
                attributes,
            });
        }
        links
    }
}

/// The links of a span of the trace `own`.
pub(super) fn links_of(own: TraceId, links: Vec<Link>) -> Links {
    let plain = |link: &Link| link.trace_id == own && link.attributes.is_empty();
    if links.is_empty() {
        Links::None
    } else if links.iter().all(plain) {
        Links::SameTrace(links.iter().map(|link| link.span_id).collect())
    } else {
        Links::Any(links)
    }
}

/// The id of a span's parent, if it has one.
pub(super) fn parent_id(bytes: &[u8]) -> Result<Option<SpanId>, RefusedReason> {
    match bytes.len() {
        // Some senders write a root's parent as zeros.
        0 | 8 => Ok(span_id(bytes)),
        _ => Err(RefusedReason::ParentId),
    }
}

/// An instrumentation scope, and the schema of its spans.
#[derive(Default)]
pub(super) struct ScopeParts {
    pub(super) name: Text,
    pub(super) version: Text,
    pub(super) attributes: Vec<Attribute>,
    pub(super) dropped: u32,
    pub(super) schema_url: Text,
}

/// Who made the spans of a scope; `attributes` are the resource's.
pub(super) fn resource_of(mut attributes: Vec<Attribute>, scope: ScopeParts) -> Arc<Resource> {
    if !scope.attributes.is_empty() {
        attributes.push(Attribute::new(
            kept::SCOPE_ATTRIBUTES,
            Value::Map(scope.attributes.into()),
        ));
    }
    keep_count(&mut attributes, kept::SCOPE_DROPPED, scope.dropped);
    keep_text(&mut attributes, kept::SCOPE_SCHEMA, &scope.schema_url);
    Arc::new(Resource {
        attributes,
        scope_name: scope.name,
        scope_version: scope.version,
    })
}

/// Keeps a span's flags, and how many attributes, events and links of it were left out.
pub(super) fn keep_counts(attributes: &mut Vec<Attribute>, counts: [u32; 4]) {
    let keys = [
        kept::FLAGS,
        kept::DROPPED_ATTRIBUTES,
        kept::DROPPED_EVENTS,
        kept::DROPPED_LINKS,
    ];
    for (key, count) in keys.into_iter().zip(counts) {
        keep_count(attributes, key, count);
    }
}

/// Puts an attribute into the span's field that stands for it; gives it back if there is none, if its
/// type is not the field's, or if the field is taken.
pub(crate) fn take_field(span: &mut Span, attribute: Attribute) -> Option<Attribute> {
    // Most keys are none of these, and end here.
    let key = &*attribute.key;
    if !(key.starts_with("event.") || key == "sentry.op" || key == "hopline.pending") {
        return Some(attribute);
    }
    match (key, &attribute.value) {
        ("hopline.pending", Value::Bool(true)) if !span.pending => span.pending = true,
        ("event.seq", Value::Int(seq)) if *seq > 0 => {
            let keys = span.event.get_or_insert_default();
            if keys.seq != 0 {
                return Some(attribute);
            }
            keys.seq = seq.unsigned_abs();
        }
        (_, Value::Text(value)) if !value.is_empty() => {
            let field = match key {
                "sentry.op" => &mut span.op,
                "event.type" => &mut event_keys(span).event_type,
                "event.projectId" => &mut event_keys(span).project_id,
                "event.commandId" => &mut event_keys(span).command_id,
                "event.sessionId" => &mut event_keys(span).session_id,
                _ => return Some(attribute),
            };
            if !field.is_empty() {
                return Some(attribute);
            }
            *field = value.clone();
        }
        _ => return Some(attribute),
    }
    None
}

fn event_keys(span: &mut Span) -> &mut EventKeys {
    span.event.get_or_insert_default()
}

pub(super) fn status_of(code: i32, message: &str) -> SpanStatus {
    // OpenTelemetry gives the description a meaning only beside an error.
    match StatusCode::try_from(code).unwrap_or_default() {
        StatusCode::Unset => SpanStatus::Unset,
        StatusCode::Ok => SpanStatus::Ok,
        StatusCode::Error => SpanStatus::Error(text(message)),
    }
}

pub(super) fn text(text: &str) -> Text {
    if text.is_empty() {
        Text::EMPTY
    } else {
        Text::Shared(text.into())
    }
}

pub(super) fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    TraceId::from_bytes(bytes.try_into().ok()?)
}

pub(super) fn span_id(bytes: &[u8]) -> Option<SpanId> {
    SpanId::from_bytes(bytes.try_into().ok()?)
}

pub(super) fn keep_count(attributes: &mut Vec<Attribute>, key: &'static str, count: u32) {
    if count > 0 {
        attributes.push(Attribute::new(key, i64::from(count)));
    }
}

pub(super) fn keep_text(attributes: &mut Vec<Attribute>, key: &'static str, value: &str) {
    if !value.is_empty() {
        attributes.push(Attribute::new(key, value.to_owned()));
    }
}
