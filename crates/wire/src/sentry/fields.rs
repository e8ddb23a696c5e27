//! What the items of all kinds write in the same way: ids, times, attributes, the status.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::kept;
use crate::ids::{SpanId, TraceId};
use crate::otlp::{RefusedReason, take_field};
use crate::span::{
    Attribute, Link, Links, Resource, Span, SpanEvent, SpanKind, SpanName, SpanStatus, Text, Value,
};
use crate::time::Timestamp;
use std::sync::Arc;

/// A trace id; dashes, as UUIDs have them, are passed over.
pub(super) fn trace_id(text: &str) -> Result<TraceId, RefusedReason> {
    let plain = plain(text);
    plain.parse().map_err(|_| RefusedReason::TraceId)
}

pub(super) fn span_id(text: &str) -> Result<SpanId, RefusedReason> {
    plain(text).parse().map_err(|_| RefusedReason::SpanId)
}

/// A parent's id; none if it is absent or empty.
pub(super) fn parent_id(text: Option<&str>) -> Result<Option<SpanId>, RefusedReason> {
    match text {
        None | Some("") => Ok(None),
        Some(text) => plain(text)
            .parse()
            .map(Some)
            .map_err(|_| RefusedReason::ParentId),
    }
}

fn plain(text: &str) -> Cow<'_, str> {
    let is_plain = !text
        .bytes()
        .any(|byte| byte == b'-' || byte.is_ascii_uppercase());
    match is_plain {
        true => text.into(),
        false => text.replace('-', "").to_ascii_lowercase().into(),
    }
}

/// A time: seconds since the epoch, of which every digit down to nanoseconds counts (a floating-point number holds
/// none below 200 ns), or ISO 8601, in which `Z` may be missing.
pub(super) fn time(raw: &RawValue) -> Result<Timestamp, RefusedReason> {
    let text = raw.get();
    let read = match text.strip_prefix('"') {
        None => seconds(text),
        Some(_) => serde_json::from_str::<Cow<'_, str>>(text)
            .ok()
            .and_then(|text| text.parse().or_else(|_| format!("{text}Z").parse()).ok()),
    };
    read.ok_or(RefusedReason::Time)
}

fn seconds(text: &str) -> Option<Timestamp> {
    if text.contains(['e', 'E', '-']) {
        let seconds: f64 = text.parse().ok()?;
        let nanos = (seconds * 1e9).round();
        let fits = (0.0..18_446_744_073_709_549_568.0).contains(&nanos);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, and in range"
        )]
        return fits.then_some(Timestamp::from_nanos(nanos as u64));
    }
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return None;
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.contains('.') {
        return None;
    }
    let nanos = part.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = nanos.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    let whole: u64 = whole.parse().ok()?;
    let all = whole.checked_mul(1_000_000_000)?.checked_add(nanos)?;
    Some(Timestamp::from_nanos(all))
}

/// A value as it stands in JSON. A whole number beyond 64 bits becomes a floating-point one.
pub(super) fn value(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Empty,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(text.into()),
        Json::Array(list) => Value::List(list.into_iter().map(value).collect()),
        Json::Object(map) => Value::Map(
            map.into_iter()
                .map(|(key, json)| Attribute::new(key, value(json)))
                .collect(),
        ),
    }
}

/// Attributes as the second version of spans and logs write them: `{"type": …, "value": …}`.
#[derive(Deserialize, Default)]
#[serde(transparent)]
pub(super) struct Typed(BTreeMap<String, TypedValue>);

#[derive(Deserialize)]
struct TypedValue {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    value: serde_json::Value,
}

impl Typed {
    pub(super) fn attributes(self) -> Vec<Attribute> {
        let all = self.0.into_iter().map(|(key, typed)| {
            let value = match (typed.kind.as_str(), value(typed.value)) {
                // JSON of JavaScript writes a whole double without a fraction.
                #[expect(clippy::cast_precision_loss, reason = "it was a double")]
                ("double", Value::Int(whole)) => Value::Double(whole as f64),
                (_, value) => value,
            };
            Attribute::new(key, value)
        });
        all.collect()
    }
}

/// What happened within a span, taken out of its attributes; what others mean by the same key stays there.
pub(super) fn take_events(attributes: &mut Vec<Attribute>) -> Vec<SpanEvent> {
    let Some(text) = take_text(attributes, kept::EVENTS) else {
        return Vec::new();
    };
    events(&text).unwrap_or_else(|| {
        attributes.push(Attribute::new(kept::EVENTS, text));
        Vec::new()
    })
}

/// What happened within a span, as [`super::write`] puts it into a text; none of a text of another kind.
fn events(text: &str) -> Option<Vec<SpanEvent>> {
    #[derive(Deserialize)]
    struct Written<'a> {
        #[serde(borrow)]
        at: &'a RawValue,
        name: String,
        attributes: Typed,
    }
    let written: Vec<Written<'_>> = serde_json::from_str(text).ok()?;
    let events = written.into_iter().map(|event| {
        Some(SpanEvent {
            at: time(event.at).ok()?,
            name: event.name.into(),
            attributes: event.attributes.attributes(),
        })
    });
    events.collect()
}

/// A link.
#[derive(Deserialize)]
pub(super) struct LinkFields<'a, A> {
    #[serde(borrow)]
    trace_id: Cow<'a, str>,
    #[serde(borrow)]
    span_id: Cow<'a, str>,
    sampled: Option<bool>,
    #[serde(default = "Option::default")]
    attributes: Option<A>,
}

/// Links, and how many of them were left out for want of valid ids.
pub(super) fn links<A>(
    fields: Vec<LinkFields<'_, A>>,
    attributes_of: impl Fn(A) -> Vec<Attribute>,
) -> (Links, usize) {
    let all = fields.len();
    let links: Vec<Link> = fields
        .into_iter()
        .filter_map(|fields| {
            let sampled = fields.sampled;
            let mut attributes = fields.attributes.map(&attributes_of).unwrap_or_default();
            attributes.extend(sampled.map(|sampled| Attribute::new(kept::LINK_SAMPLED, sampled)));
            Some(Link {
                trace_id: trace_id(&fields.trace_id).ok()?,
                span_id: span_id(&fields.span_id).ok()?,
                attributes,
            })
        })
        .collect();
    let lost = all - links.len();
    match links.is_empty() {
        true => (Links::None, lost),
        false => (Links::Any(links), lost),
    }
}

/// A status of the first version. What is neither success nor failure is kept as an attribute.
pub(super) fn status(text: Option<&str>, attributes: &mut Vec<Attribute>) -> SpanStatus {
    match text {
        None | Some("" | "unset") => SpanStatus::Unset,
        Some("ok") => SpanStatus::Ok,
        Some(neither @ ("cancelled" | "unknown")) => {
            put(attributes, kept::STATUS, neither.to_owned());
            SpanStatus::Unset
        }
        Some(failure) => SpanStatus::Error(failure.to_owned().into()),
    }
}

/// A kind by its name in any case; none if there is no such kind.
pub(super) fn kind(name: &str) -> Option<SpanKind> {
    Some(match name.to_ascii_lowercase().as_str() {
        "internal" => SpanKind::Internal,
        "server" => SpanKind::Server,
        "client" => SpanKind::Client,
        "producer" => SpanKind::Producer,
        "consumer" => SpanKind::Consumer,
        _ => return None,
    })
}

/// Adds an attribute unless there is one of that key.
pub(super) fn put(attributes: &mut Vec<Attribute>, key: impl Into<Text>, value: impl Into<Value>) {
    let key = key.into();
    if !attributes.iter().any(|attribute| attribute.key == key) {
        attributes.push(Attribute::new(key, value));
    }
}

/// A text attribute, taken out.
pub(super) fn take_text(attributes: &mut Vec<Attribute>, key: &str) -> Option<Text> {
    let at = attributes.iter().position(
        |attribute| matches!(&attribute.value, Value::Text(_) if &*attribute.key == key),
    )?;
    match attributes.remove(at).value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// How many parts a span has, for whoever counts what it takes.
pub(super) fn parts(span: &Span) -> usize {
    let links = match &span.links {
        Links::None => 0,
        Links::SameTrace(ids) => ids.len(),
        Links::Any(links) => links.iter().map(|link| 1 + link.attributes.len()).sum(),
    };
    let events = span
        .events
        .iter()
        .map(|event| 1 + members(&event.attributes));
    links + members(&span.attributes) + events.sum::<usize>()
}

fn members(attributes: &[Attribute]) -> usize {
    attributes
        .iter()
        .map(|attribute| values(&attribute.value))
        .sum()
}

fn values(value: &Value) -> usize {
    match value {
        Value::List(list) => 1 + list.iter().map(values).sum::<usize>(),
        Value::Map(map) => 1 + members(map),
        _ => 1,
    }
}

/// Shows the members of the list that is the member `key` of an object, one by one and unread, until `each` answers
/// false. So a list of any length takes no memory.
pub(super) fn each_of<'a>(
    json: &'a [u8],
    key: &'static str,
    each: &mut dyn FnMut(&'a RawValue) -> bool,
) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    ObjectWith { key, each }.deserialize(&mut reader)?;
    reader.end()
}

struct ObjectWith<'f, 'a> {
    key: &'static str,
    each: &'f mut dyn FnMut(&'a RawValue) -> bool,
}

impl<'a> DeserializeSeed<'a> for ObjectWith<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for ObjectWith<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with a list `{}`", self.key)
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(key) = map.next_key::<Cow<'a, str>>()? {
            if key == self.key {
                map.next_value_seed(ListOf(&mut *self.each))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct ListOf<'f, 'a>(&'f mut dyn FnMut(&'a RawValue) -> bool);

impl<'a> DeserializeSeed<'a> for ListOf<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for ListOf<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut list: S) -> Result<(), S::Error> {
        let mut go_on = true;
        while go_on {
            match list.next_element::<&'a RawValue>()? {
                Some(raw) => go_on = (self.0)(raw),
                None => return Ok(()),
            }
        }
        // The rest is passed over, so that the text is read to its end.
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A field that may be null, absent, or of a type that is not expected: then it is passed over.
pub(super) fn lenient<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let raw = <&RawValue>::deserialize(from)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

/// Tags: an object, or a list of pairs.
pub(super) fn tags<'de, D>(
    from: D,
) -> Result<Option<serde_json::Map<String, serde_json::Value>>, D::Error>
where
    D: Deserializer<'de>,
{
    let raw = <&RawValue>::deserialize(from)?;
    let pairs = || serde_json::from_str::<Vec<(String, serde_json::Value)>>(raw.get());
    let map = serde_json::from_str(raw.get()).ok();
    Ok(map.or_else(|| Some(pairs().ok()?.into_iter().collect())))
}

/// The resource of the last span, which is mostly that of the next as well.
#[derive(Default)]
pub(super) struct Resources(Option<Arc<Resource>>);

impl Resources {
    /// The resource with these attributes.
    pub(super) fn of(&mut self, attributes: Vec<Attribute>) -> Arc<Resource> {
        match &self.0 {
            Some(last) if last.attributes == attributes => Arc::clone(last),
            _ => {
                let resource = Resource {
                    attributes,
                    ..Resource::default()
                };
                Arc::clone(self.0.insert(Arc::new(resource)))
            }
        }
    }
}

/// A span without more than where it belongs.
pub(super) fn bare(
    trace_id: TraceId,
    span_id: SpanId,
    parent_id: Option<SpanId>,
    name: String,
    (start, end): (Timestamp, Timestamp),
    resource: Arc<Resource>,
) -> Span {
    Span {
        trace_id,
        span_id,
        parent_id,
        name: SpanName::from(name),
        op: Text::EMPTY,
        kind: SpanKind::Unspecified,
        start,
        end,
        status: SpanStatus::Unset,
        pending: false,
        event: None,
        attributes: Vec::new(),
        links: Links::None,
        events: Vec::new(),
        trace_state: Text::EMPTY,
        resource,
    }
}

/// Gives a span its attributes, those with fields of their own into these.
pub(super) fn with(mut span: Span, attributes: Vec<Attribute>) -> Span {
    for attribute in attributes {
        if let Some(other) = take_field(&mut span, attribute) {
            span.attributes.push(other);
        }
    }
    span
}

/// The resource's attributes that an envelope or event says.
pub(super) fn resource_attributes(
    service: Option<&str>,
    release: Option<&str>,
    environment: Option<&str>,
    sdk: (Option<&str>, Option<&str>),
) -> Vec<Attribute> {
    // A release is `package@version` where whoever named it followed Sentry's advice.
    let (package, version) = match release.and_then(|release| release.rsplit_once('@')) {
        Some((package, version)) => (Some(package), Some(version)),
        None => (None, release),
    };
    let service = service.or(package).or(sdk.0);
    let texts = [
        ("service.name", service),
        ("service.version", version),
        ("deployment.environment.name", environment),
        ("telemetry.sdk.name", sdk.0),
        ("telemetry.sdk.version", sdk.1),
    ];
    let present = texts
        .into_iter()
        .filter_map(|(key, text)| Some((key, text?)));
    present
        .map(|(key, text)| Attribute::new(key, text.to_owned()))
        .collect()
}
