//! The writing half: OTLP's messages, borrowed, as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::resource::v1 as resource;
use opentelemetry_proto::tonic::trace::v1 as trace;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::super::ExportTraceServiceRequest;

/// A message of OTLP's that has a form in JSON.
pub(super) trait Message {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

/// A message that is written in OTLP's JSON rather than in the form of its type.
pub(super) struct Json<'a, T>(pub(super) &'a T);

impl<T: Message> Serialize for Json<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

/// Messages as a list.
struct List<'a, T>(&'a [T]);

impl<T: Message> Serialize for List<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for item in self.0 {
            list.serialize_element(&Json(item))?;
        }
        list.end()
    }
}

/// An object whose fields are left out when they have their default value.
struct Object<M>(M);

impl<M: SerializeMap> Object<M> {
    fn begin<S: Serializer<SerializeMap = M, Ok = M::Ok, Error = M::Error>>(
        serializer: S,
    ) -> Result<Self, M::Error> {
        serializer.serialize_map(None).map(Self)
    }

    fn text(mut self, key: &str, value: &str) -> Result<Self, M::Error> {
        if !value.is_empty() {
            self.0.serialize_entry(key, value)?;
        }
        Ok(self)
    }

    fn id(mut self, key: &str, value: &[u8]) -> Result<Self, M::Error> {
        if !value.is_empty() {
            self.0.serialize_entry(key, &Hex(value))?;
        }
        Ok(self)
    }

    fn number(mut self, key: &str, value: u32) -> Result<Self, M::Error> {
        if value != 0 {
            self.0.serialize_entry(key, &value)?;
        }
        Ok(self)
    }

    fn enumeration(mut self, key: &str, value: i32) -> Result<Self, M::Error> {
        if value != 0 {
            self.0.serialize_entry(key, &value)?;
        }
        Ok(self)
    }

    /// Times are always written; JSON's readers may hold numbers as floating point, hence text.
    fn time(mut self, key: &str, value: u64) -> Result<Self, M::Error> {
        self.0.serialize_entry(key, &Shown(value))?;
        Ok(self)
    }

    fn list<T: Message>(mut self, key: &str, items: &[T]) -> Result<Self, M::Error> {
        if !items.is_empty() {
            self.0.serialize_entry(key, &List(items))?;
        }
        Ok(self)
    }

    fn message<T>(mut self, key: &str, message: Option<&T>) -> Result<Self, M::Error>
    where
        T: Message + Default + PartialEq,
    {
        if let Some(message) = message.filter(|message| **message != T::default()) {
            self.0.serialize_entry(key, &Json(message))?;
        }
        Ok(self)
    }

    fn end(self) -> Result<M::Ok, M::Error> {
        self.0.end()
    }
}

/// Something written as a text in its displayed form.
struct Shown<T>(T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Gives messages their JSON: `$message` becomes an object by `$write`.
macro_rules! object {
    ($message:ty, |$this:ident, $object:ident| $write:expr) => {
        impl Message for $message {
            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $this = self;
                let $object = Object::begin(serializer)?;
                $write.end()
            }
        }
    };
}

impl Message for ExportTraceServiceRequest {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("resourceSpans", &List(&self.resource_spans))?;
        map.end()
    }
}

object!(trace::ResourceSpans, |this, object| object
    .message("resource", this.resource.as_ref())?
    .list("scopeSpans", &this.scope_spans)?
    .text("schemaUrl", &this.schema_url)?);

object!(resource::Resource, |this, object| object
    .list("attributes", &this.attributes)?
    .number(
        "droppedAttributesCount",
        this.dropped_attributes_count
    )?);

object!(trace::ScopeSpans, |this, object| object
    .message("scope", this.scope.as_ref())?
    .list("spans", &this.spans)?
    .text("schemaUrl", &this.schema_url)?);

object!(common::InstrumentationScope, |this, object| object
    .text("name", &this.name)?
    .text("version", &this.version)?
    .list("attributes", &this.attributes)?
    .number(
        "droppedAttributesCount",
        this.dropped_attributes_count
    )?);

object!(trace::Span, |this, object| object
    .id("traceId", &this.trace_id)?
    .id("spanId", &this.span_id)?
    .id("parentSpanId", &this.parent_span_id)?
    .text("traceState", &this.trace_state)?
    .number("flags", this.flags)?
    .text("name", &this.name)?
    .enumeration("kind", this.kind)?
    .time("startTimeUnixNano", this.start_time_unix_nano)?
    .time("endTimeUnixNano", this.end_time_unix_nano)?
    .list("attributes", &this.attributes)?
    .number("droppedAttributesCount", this.dropped_attributes_count)?
    .list("events", &this.events)?
    .number("droppedEventsCount", this.dropped_events_count)?
    .list("links", &this.links)?
    .number("droppedLinksCount", this.dropped_links_count)?
    .message("status", this.status.as_ref())?);

object!(trace::span::Event, |this, object| object
    .time("timeUnixNano", this.time_unix_nano)?
    .text("name", &this.name)?
    .list("attributes", &this.attributes)?
    .number(
        "droppedAttributesCount",
        this.dropped_attributes_count
    )?);

object!(trace::span::Link, |this, object| object
    .id("traceId", &this.trace_id)?
    .id("spanId", &this.span_id)?
    .text("traceState", &this.trace_state)?
    .list("attributes", &this.attributes)?
    .number("droppedAttributesCount", this.dropped_attributes_count)?
    .number("flags", this.flags)?);

object!(trace::Status, |this, object| object
    .text("message", &this.message)?
    .enumeration("code", this.code)?);

impl Message for common::KeyValue {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("key", &self.key)?;
        let empty = common::AnyValue { value: None };
        map.serialize_entry("value", &Json(self.value.as_ref().unwrap_or(&empty)))?;
        map.end()
    }
}

impl Message for common::AnyValue {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use common::any_value::Value;
        let mut map = serializer.serialize_map(None)?;
        match &self.value {
            Some(Value::StringValue(text)) => map.serialize_entry("stringValue", text)?,
            Some(Value::BoolValue(value)) => map.serialize_entry("boolValue", value)?,
            Some(Value::IntValue(value)) => map.serialize_entry("intValue", &Shown(value))?,
            Some(Value::DoubleValue(value)) if value.is_finite() => {
                map.serialize_entry("doubleValue", value)?;
            }
            Some(Value::DoubleValue(value)) => {
                map.serialize_entry("doubleValue", not_finite(*value))?;
            }
            Some(Value::ArrayValue(list)) => {
                map.serialize_entry("arrayValue", &Json(list))?;
            }
            Some(Value::KvlistValue(list)) => {
                map.serialize_entry("kvlistValue", &Json(list))?;
            }
            Some(Value::BytesValue(bytes)) => {
                map.serialize_entry("bytesValue", &STANDARD.encode(bytes))?;
            }
            Some(Value::StringValueStrindex(_)) | None => {}
        }
        map.end()
    }
}

/// The text that protobuf's JSON mapping has for a number that JSON cannot write.
fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

impl Message for common::ArrayValue {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("values", &List(&self.values))?;
        map.end()
    }
}

impl Message for common::KeyValueList {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("values", &List(&self.values))?;
        map.end()
    }
}
