//! The reading half: structs of the JSON's shape, each of which becomes OTLP's message as soon as it is read.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::resource::v1 as resource;
use opentelemetry_proto::tonic::trace::v1 as trace;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::{ExportTraceServiceRequest, Item};
use super::fields::{Name, Read, Tally, Within};

/// A struct of the JSON, and the message that it becomes: every field may be missing or null, and one that is not
/// known is passed over.
macro_rules! message {
    ($name:ident -> $message:ty, $item:expr, { $($key:literal => $field:ident: $type:ty),* $(,)? }) => {
        #[derive(Default)]
        struct $name {
            $($field: $type,)*
        }

        impl Read for $message {
            const ITEM: Item = $item;

            fn read<'de, D: Deserializer<'de>>(from: D, tally: Tally<'_>) -> Result<Self, D::Error> {
                struct Fields<'t>(Tally<'t>);

                impl<'de> Visitor<'de> for Fields<'_> {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("an object: ", stringify!($name)))
                    }

                    fn visit_unit<E: de::Error>(self) -> Result<$name, E> {
                        Ok($name::default())
                    }

                    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<$name, M::Error> {
                        let mut read = $name::default();
                        while let Some(key) = map.next_key_seed(Name)? {
                            match &*key {
                                $($key => read.$field = map.next_value_seed(Within::new(self.0))?,)*
                                _ => {
                                    map.next_value::<IgnoredAny>()?;
                                }
                            }
                        }
                        Ok(read)
                    }
                }

                from.deserialize_any(Fields(tally)).map(Into::into)
            }
        }
    };
}

message!(Request -> ExportTraceServiceRequest, Item::Part, {
    "resourceSpans" => resource_spans: Vec<trace::ResourceSpans>,
});
message!(ResourceSpans -> trace::ResourceSpans, Item::Group, {
    "resource" => resource: resource::Resource,
    "scopeSpans" => scope_spans: Vec<trace::ScopeSpans>,
    "schemaUrl" => schema_url: String,
});
message!(Resource -> resource::Resource, Item::Part, {
    "attributes" => attributes: Vec<common::KeyValue>,
    "droppedAttributesCount" => dropped_attributes_count: Whole,
});
message!(ScopeSpans -> trace::ScopeSpans, Item::Group, {
    "scope" => scope: common::InstrumentationScope,
    "spans" => spans: Vec<trace::Span>,
    "schemaUrl" => schema_url: String,
});
message!(Scope -> common::InstrumentationScope, Item::Part, {
    "name" => name: String,
    "version" => version: String,
    "attributes" => attributes: Vec<common::KeyValue>,
    "droppedAttributesCount" => dropped_attributes_count: Whole,
});
message!(Span -> trace::Span, Item::Span, {
    "traceId" => trace_id: Hex,
    "spanId" => span_id: Hex,
    "traceState" => trace_state: String,
    "parentSpanId" => parent_span_id: Hex,
    "flags" => flags: Whole,
    "name" => name: String,
    "kind" => kind: Kind,
    "startTimeUnixNano" => start_time_unix_nano: Whole,
    "endTimeUnixNano" => end_time_unix_nano: Whole,
    "attributes" => attributes: Vec<common::KeyValue>,
    "droppedAttributesCount" => dropped_attributes_count: Whole,
    "events" => events: Vec<trace::span::Event>,
    "droppedEventsCount" => dropped_events_count: Whole,
    "links" => links: Vec<trace::span::Link>,
    "droppedLinksCount" => dropped_links_count: Whole,
    "status" => status: trace::Status,
});
message!(Event -> trace::span::Event, Item::Part, {
    "timeUnixNano" => time_unix_nano: Whole,
    "name" => name: String,
    "attributes" => attributes: Vec<common::KeyValue>,
    "droppedAttributesCount" => dropped_attributes_count: Whole,
});
message!(Link -> trace::span::Link, Item::Part, {
    "traceId" => trace_id: Hex,
    "spanId" => span_id: Hex,
    "traceState" => trace_state: String,
    "attributes" => attributes: Vec<common::KeyValue>,
    "droppedAttributesCount" => dropped_attributes_count: Whole,
    "flags" => flags: Whole,
});
message!(Status -> trace::Status, Item::Part, {
    "message" => message: String,
    "code" => code: Code,
});
message!(KeyValue -> common::KeyValue, Item::Part, {
    "key" => key: String,
    "value" => value: common::AnyValue,
});
message!(Array -> common::ArrayValue, Item::Part, {
    "values" => values: Vec<common::AnyValue>,
});
message!(KeyValues -> common::KeyValueList, Item::Part, {
    "values" => values: Vec<common::KeyValue>,
});

/// A whole number of up to 64 bits, as a number or as text.
#[derive(Default, Clone, Copy)]
struct Whole(i128);

impl Whole {
    /// As a time; what is out of range is brought to the nearer end.
    fn nanos(self) -> u64 {
        u64::try_from(self.0.max(0)).unwrap_or(u64::MAX)
    }

    fn count(self) -> u32 {
        u32::try_from(self.0.max(0)).unwrap_or(u32::MAX)
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor;

        impl Visitor<'_> for WholeVisitor {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or one as text")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Whole, E> {
                Ok(Whole(value.into()))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Whole, E> {
                Ok(Whole(value.into()))
            }

            /// JavaScript writes large numbers as it holds them: as floating point.
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Whole, E> {
                if value.fract() == 0.0 && value.abs() < 1e20 {
                    #[expect(clippy::cast_possible_truncation, reason = "whole, and in range")]
                    return Ok(Whole(value as i128));
                }
                Err(E::invalid_value(de::Unexpected::Float(value), &self))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Whole, E> {
                let number = value.parse::<i64>().map(i128::from);
                let number = number.or_else(|_| value.parse::<u64>().map(i128::from));
                number
                    .map(Whole)
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(value), &self))
            }
        }

        deserializer.deserialize_any(WholeVisitor)
    }
}

impl Read for Whole {
    fn read<'de, D: Deserializer<'de>>(from: D, _: Tally<'_>) -> Result<Self, D::Error> {
        Ok(Option::deserialize(from)?.unwrap_or_default())
    }
}

/// A signed 64-bit number, the `intValue` of an attribute.
fn int<E: de::Error>(whole: Whole) -> Result<i64, E> {
    i64::try_from(whole.0).map_err(|_| E::custom("intValue has more than 64 bits"))
}

/// An id in hexadecimal. A text that is none becomes a single byte, which no id is, so that its span is
/// refused and counted where the ids are judged.
#[derive(Default)]
struct Hex(Vec<u8>);

impl Read for Hex {
    fn read<'de, D: Deserializer<'de>>(from: D, tally: Tally<'_>) -> Result<Self, D::Error> {
        let text = String::read(from, tally)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let pair = |pair: &[u8]| match pair {
            [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
            _ => None,
        };
        // Nothing longer than a trace id is worth decoding.
        let bytes = (text.len() <= 32).then(|| text.as_bytes().chunks(2).map(pair).collect());
        Ok(Self(bytes.flatten().unwrap_or_else(|| vec![0])))
    }
}

/// An enumeration value, as its number or as its name.
fn enumeration<'de, D: Deserializer<'de>>(
    deserializer: D,
    named: fn(&str) -> Option<i32>,
) -> Result<i32, D::Error> {
    struct EnumVisitor(fn(&str) -> Option<i32>);

    impl Visitor<'_> for EnumVisitor {
        type Value = i32;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the number of an enumeration value")
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<i32, E> {
            Ok(i32::try_from(value).unwrap_or(0))
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<i32, E> {
            Ok(i32::try_from(value).unwrap_or(0))
        }

        /// A name from a later version of the protocol means nothing here: not said.
        fn visit_str<E: de::Error>(self, value: &str) -> Result<i32, E> {
            Ok((self.0)(value).or_else(|| value.parse().ok()).unwrap_or(0))
        }
    }

    deserializer.deserialize_any(EnumVisitor(named))
}

#[derive(Default)]
struct Kind(i32);

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named = |name: &str| trace::span::SpanKind::from_str_name(name).map(i32::from);
        enumeration(deserializer, named).map(Self)
    }
}

impl Read for Kind {
    fn read<'de, D: Deserializer<'de>>(from: D, _: Tally<'_>) -> Result<Self, D::Error> {
        Ok(Option::deserialize(from)?.unwrap_or_default())
    }
}

#[derive(Default)]
struct Code(i32);

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named = |name: &str| trace::status::StatusCode::from_str_name(name).map(i32::from);
        enumeration(deserializer, named).map(Self)
    }
}

impl Read for Code {
    fn read<'de, D: Deserializer<'de>>(from: D, _: Tally<'_>) -> Result<Self, D::Error> {
        Ok(Option::deserialize(from)?.unwrap_or_default())
    }
}

/// The value of an attribute.
impl Read for common::AnyValue {
    fn read<'de, D: Deserializer<'de>>(from: D, tally: Tally<'_>) -> Result<Self, D::Error> {
        struct AnyValueVisitor<'t>(Tally<'t>);

        impl<'de> Visitor<'de> for AnyValueVisitor<'_> {
            type Value = common::AnyValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object such as {\"stringValue\": \"…\"}")
            }

            /// In a list, `null` is a value without a kind.
            fn visit_unit<E: de::Error>(self) -> Result<common::AnyValue, E> {
                Ok(common::AnyValue::default())
            }

            fn visit_map<M: MapAccess<'de>>(
                self,
                mut map: M,
            ) -> Result<common::AnyValue, M::Error> {
                let mut value = None;
                while let Some(kind) = map.next_key_seed(Name)? {
                    if let Some(found) = one_value(&kind, &mut map, self.0)? {
                        value = Some(found);
                    }
                }
                Ok(common::AnyValue { value })
            }
        }

        from.deserialize_any(AnyValueVisitor(tally))
    }
}

/// Reads the value that stands under `kind`; none if it is null, or a kind that is not known.
fn one_value<'de, M: MapAccess<'de>>(
    kind: &str,
    map: &mut M,
    tally: Tally<'_>,
) -> Result<Option<common::any_value::Value>, M::Error> {
    use common::any_value::Value;
    let text = |map: &mut M| map.next_value_seed(Within::<Option<String>>::new(tally));
    Ok(match kind {
        "stringValue" => text(map)?.map(Value::StringValue),
        "boolValue" => map.next_value::<Option<bool>>()?.map(Value::BoolValue),
        "intValue" => match map.next_value::<Option<Whole>>()? {
            Some(number) => Some(Value::IntValue(int(number)?)),
            None => None,
        },
        "doubleValue" => double(map.next_value()?)?.map(Value::DoubleValue),
        "arrayValue" => map
            .next_value_seed(Within::<Option<_>>::new(tally))?
            .map(Value::ArrayValue),
        "kvlistValue" => map
            .next_value_seed(Within::<Option<_>>::new(tally))?
            .map(Value::KvlistValue),
        "bytesValue" => match text(map)? {
            Some(text) => Some(Value::BytesValue(bytes(&text)?)),
            None => None,
        },
        _ => {
            map.next_value::<IgnoredAny>()?;
            None
        }
    })
}

/// Reads a floating-point number, or the text of one that JSON cannot write; none for `null`.
///
/// The number is read from its digits, since the JSON library's own reading may be off by the last bit.
fn double<E: de::Error>(json: &RawValue) -> Result<Option<f64>, E> {
    let digits = json.get();
    if digits == "null" {
        return Ok(None);
    }
    let unquoted = digits
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    // "NaN", "Infinity" and "-Infinity" are read by Rust as protobuf writes them.
    let number = unquoted.unwrap_or(digits).parse();
    number
        .map(Some)
        .map_err(|_| E::custom("doubleValue: expected a number"))
}

/// Decodes base64 of either alphabet, with or without padding.
fn bytes<E: de::Error>(text: &str) -> Result<Vec<u8>, E> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
    STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE.decode(text))
        .map_err(|error| E::custom(format_args!("bytesValue: {error}")))
}

impl From<Request> for ExportTraceServiceRequest {
    fn from(json: Request) -> Self {
        Self {
            resource_spans: json.resource_spans,
        }
    }
}

impl From<ResourceSpans> for trace::ResourceSpans {
    fn from(json: ResourceSpans) -> Self {
        Self {
            resource: Some(json.resource),
            scope_spans: json.scope_spans,
            schema_url: json.schema_url,
        }
    }
}

impl From<Resource> for resource::Resource {
    fn from(json: Resource) -> Self {
        Self {
            attributes: json.attributes,
            dropped_attributes_count: json.dropped_attributes_count.count(),
            entity_refs: Vec::new(),
        }
    }
}

impl From<ScopeSpans> for trace::ScopeSpans {
    fn from(json: ScopeSpans) -> Self {
        Self {
            scope: Some(json.scope),
            spans: json.spans,
            schema_url: json.schema_url,
        }
    }
}

impl From<Scope> for common::InstrumentationScope {
    fn from(json: Scope) -> Self {
        Self {
            name: json.name,
            version: json.version,
            attributes: json.attributes,
            dropped_attributes_count: json.dropped_attributes_count.count(),
        }
    }
}

impl From<Span> for trace::Span {
    fn from(json: Span) -> Self {
        Self {
            trace_id: json.trace_id.0,
            span_id: json.span_id.0,
            trace_state: json.trace_state,
            parent_span_id: json.parent_span_id.0,
            flags: json.flags.count(),
            name: json.name,
            kind: json.kind.0,
            start_time_unix_nano: json.start_time_unix_nano.nanos(),
            end_time_unix_nano: json.end_time_unix_nano.nanos(),
            attributes: json.attributes,
            dropped_attributes_count: json.dropped_attributes_count.count(),
            events: json.events,
            dropped_events_count: json.dropped_events_count.count(),
            links: json.links,
            dropped_links_count: json.dropped_links_count.count(),
            status: Some(json.status),
        }
    }
}

impl From<Status> for trace::Status {
    fn from(json: Status) -> Self {
        Self {
            message: json.message,
            code: json.code.0,
        }
    }
}

impl From<Event> for trace::span::Event {
    fn from(json: Event) -> Self {
        Self {
            time_unix_nano: json.time_unix_nano.nanos(),
            name: json.name,
            attributes: json.attributes,
            dropped_attributes_count: json.dropped_attributes_count.count(),
        }
    }
}

impl From<Link> for trace::span::Link {
    fn from(json: Link) -> Self {
        Self {
            trace_id: json.trace_id.0,
            span_id: json.span_id.0,
            trace_state: json.trace_state,
            attributes: json.attributes,
            dropped_attributes_count: json.dropped_attributes_count.count(),
            flags: json.flags.count(),
        }
    }
}

impl From<KeyValue> for common::KeyValue {
    fn from(json: KeyValue) -> Self {
        Self {
            key: json.key,
            value: Some(json.value),
            ..Self::default()
        }
    }
}

impl From<Array> for common::ArrayValue {
    fn from(json: Array) -> Self {
        Self {
            values: json.values,
        }
    }
}

impl From<KeyValues> for common::KeyValueList {
    fn from(json: KeyValues) -> Self {
        Self {
            values: json.values,
        }
    }
}
