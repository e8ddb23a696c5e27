//! The reading half: structs of the JSON's shape, which become OTLP's messages.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::resource::v1 as resource;
use opentelemetry_proto::tonic::trace::v1 as trace;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::super::ExportTraceServiceRequest;

/// Reads a field for which `null` means its default, as protobuf's JSON mapping says of every field.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A struct of the JSON: every field may be missing or null.
macro_rules! message {
    ($name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        pub(super) struct $name {
            $(#[serde(deserialize_with = "nullable")] $field: $type,)*
        }
    };
}

message!(Request { resource_spans: Vec<ResourceSpans> });
message!(ResourceSpans { resource: Resource, scope_spans: Vec<ScopeSpans>, schema_url: String });
message!(Resource { attributes: Vec<KeyValue>, dropped_attributes_count: Whole });
message!(ScopeSpans { scope: Scope, spans: Vec<Span>, schema_url: String });
message!(Scope {
    name: String,
    version: String,
    attributes: Vec<KeyValue>,
    dropped_attributes_count: Whole,
});
message!(Span {
    trace_id: Hex,
    span_id: Hex,
    trace_state: String,
    parent_span_id: Hex,
    flags: Whole,
    name: String,
    kind: Kind,
    start_time_unix_nano: Whole,
    end_time_unix_nano: Whole,
    attributes: Vec<KeyValue>,
    dropped_attributes_count: Whole,
    events: Vec<Event>,
    dropped_events_count: Whole,
    links: Vec<Link>,
    dropped_links_count: Whole,
    status: Status,
});
message!(Event {
    time_unix_nano: Whole,
    name: String,
    attributes: Vec<KeyValue>,
    dropped_attributes_count: Whole,
});
message!(Link {
    trace_id: Hex,
    span_id: Hex,
    trace_state: String,
    attributes: Vec<KeyValue>,
    dropped_attributes_count: Whole,
    flags: Whole,
});
message!(Status {
    message: String,
    code: Code
});
message!(KeyValue {
    key: String,
    value: AnyValue
});
message!(Array { values: Vec<AnyValue> });
message!(KeyValues { values: Vec<KeyValue> });

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

/// A signed 64-bit number, the `intValue` of an attribute.
fn int<E: de::Error>(whole: Whole) -> Result<i64, E> {
    i64::try_from(whole.0).map_err(|_| E::custom("intValue has more than 64 bits"))
}

/// An id in hexadecimal. A text that is none becomes a single byte, which no id is, so that its span is
/// refused and counted where the ids are judged.
#[derive(Default)]
struct Hex(Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
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

#[derive(Default)]
struct Code(i32);

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named = |name: &str| trace::status::StatusCode::from_str_name(name).map(i32::from);
        enumeration(deserializer, named).map(Self)
    }
}

/// The value of an attribute.
#[derive(Default)]
struct AnyValue(Option<common::any_value::Value>);

impl<'de> Deserialize<'de> for AnyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValueVisitor;

        impl<'de> Visitor<'de> for AnyValueVisitor {
            type Value = AnyValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object such as {\"stringValue\": \"…\"}")
            }

            /// In a list, `null` is a value without a kind.
            fn visit_unit<E: de::Error>(self) -> Result<AnyValue, E> {
                Ok(AnyValue(None))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<AnyValue, M::Error> {
                let mut value = None;
                while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                    if let Some(found) = one_value(&key, &mut map)? {
                        value = Some(found);
                    }
                }
                Ok(AnyValue(value))
            }
        }

        deserializer.deserialize_any(AnyValueVisitor)
    }
}

/// Reads the value that stands under `kind`; none if it is null, or a kind that is not known.
fn one_value<'de, M: MapAccess<'de>>(
    kind: &str,
    map: &mut M,
) -> Result<Option<common::any_value::Value>, M::Error> {
    use common::any_value::Value;
    Ok(match kind {
        "stringValue" => map.next_value::<Option<String>>()?.map(Value::StringValue),
        "boolValue" => map.next_value::<Option<bool>>()?.map(Value::BoolValue),
        "intValue" => match map.next_value::<Option<Whole>>()? {
            Some(number) => Some(Value::IntValue(int(number)?)),
            None => None,
        },
        "doubleValue" => double(map.next_value()?)?.map(Value::DoubleValue),
        "arrayValue" => map
            .next_value::<Option<Array>>()?
            .map(|array| Value::ArrayValue(array.into())),
        "kvlistValue" => map
            .next_value::<Option<KeyValues>>()?
            .map(|map| Value::KvlistValue(map.into())),
        "bytesValue" => match map.next_value::<Option<String>>()? {
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

fn all<T: Into<U>, U>(from: Vec<T>) -> Vec<U> {
    from.into_iter().map(Into::into).collect()
}

impl From<Request> for ExportTraceServiceRequest {
    fn from(json: Request) -> Self {
        Self {
            resource_spans: all(json.resource_spans),
        }
    }
}

impl From<ResourceSpans> for trace::ResourceSpans {
    fn from(json: ResourceSpans) -> Self {
        Self {
            resource: Some(resource::Resource {
                attributes: all(json.resource.attributes),
                dropped_attributes_count: json.resource.dropped_attributes_count.count(),
                entity_refs: Vec::new(),
            }),
            scope_spans: all(json.scope_spans),
            schema_url: json.schema_url,
        }
    }
}

impl From<ScopeSpans> for trace::ScopeSpans {
    fn from(json: ScopeSpans) -> Self {
        Self {
            scope: Some(common::InstrumentationScope {
                name: json.scope.name,
                version: json.scope.version,
                attributes: all(json.scope.attributes),
                dropped_attributes_count: json.scope.dropped_attributes_count.count(),
            }),
            spans: all(json.spans),
            schema_url: json.schema_url,
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
            attributes: all(json.attributes),
            dropped_attributes_count: json.dropped_attributes_count.count(),
            events: all(json.events),
            dropped_events_count: json.dropped_events_count.count(),
            links: all(json.links),
            dropped_links_count: json.dropped_links_count.count(),
            status: Some(trace::Status {
                message: json.status.message,
                code: json.status.code.0,
            }),
        }
    }
}

impl From<Event> for trace::span::Event {
    fn from(json: Event) -> Self {
        Self {
            time_unix_nano: json.time_unix_nano.nanos(),
            name: json.name,
            attributes: all(json.attributes),
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
            attributes: all(json.attributes),
            dropped_attributes_count: json.dropped_attributes_count.count(),
            flags: json.flags.count(),
        }
    }
}

impl From<KeyValue> for common::KeyValue {
    fn from(json: KeyValue) -> Self {
        Self {
            key: json.key,
            value: Some(json.value.into()),
            ..Self::default()
        }
    }
}

impl From<AnyValue> for common::AnyValue {
    fn from(json: AnyValue) -> Self {
        Self { value: json.0 }
    }
}

impl From<Array> for common::ArrayValue {
    fn from(json: Array) -> Self {
        Self {
            values: all(json.values),
        }
    }
}

impl From<KeyValues> for common::KeyValueList {
    fn from(json: KeyValues) -> Self {
        Self {
            values: all(json.values),
        }
    }
}
