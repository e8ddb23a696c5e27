//! Items that hold spans: transactions with their spans, single spans (the first version), and lists of spans (the
//! second version, which SDKs stream).

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::envelope::{Header, Item};
use super::fields::{self, LinkFields, Resources, Typed, each_of, lenient, put, take_text};
use super::{ItemError, Room, Taken, kept};
use crate::ids::TraceId;
use crate::otlp::{Refused, RefusedReason};
use crate::span::{Attribute, Resource, Span, SpanKind, SpanStatus, Text, Value};
use crate::time::Timestamp;

/// The content type of lists of spans.
pub(super) const SPANS_V2: &str = "application/vnd.sentry.items.span.v2+json";

/// Whoever sent an envelope, and how much of a span is taken.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The envelope's header.
    pub header: &'a Header,
    /// The service that the sender's key stands for, unless the spans name one.
    pub service: Option<&'a str>,
    /// When the envelope came: the time of an event that says none.
    pub received: Timestamp,
    /// How long a span may be, in bytes of JSON. Also what a transaction may be beside its spans.
    pub span_bytes: usize,
}

/// Whether an item holds spans.
#[must_use]
pub fn holds_spans(kind: &str) -> bool {
    matches!(kind, "transaction" | "span")
}

/// Reads an item that holds spans.
///
/// # Errors
/// If the payload is no JSON of its kind, or if there is no room; what was read until then is in `out`.
pub fn read(
    item: &Item<'_>,
    from: &Source<'_>,
    room: Room<'_>,
    out: &mut Taken,
) -> Result<(), ItemError> {
    let mut reader = Reader {
        from,
        room,
        out,
        resources: Resources::default(),
    };
    if item.header.kind == "transaction" {
        return reader.transaction(item.payload);
    }
    let content_type = item.header.content_type.as_deref().unwrap_or_default();
    if content_type.starts_with(SPANS_V2) {
        reader.each(item.payload, "items", |reader, raw| reader.second(raw))
    } else {
        let raw: &RawValue = serde_json::from_slice(item.payload)?;
        match reader.put(raw, |reader, raw| reader.first(raw, &Shared::default())) {
            true => Ok(()),
            false => Err(ItemError::NoRoom),
        }
    }
}

/// A span of the second version.
#[derive(Deserialize)]
struct Second<'a> {
    #[serde(borrow)]
    trace_id: Cow<'a, str>,
    #[serde(borrow)]
    span_id: Cow<'a, str>,
    parent_span_id: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    status: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    is_segment: Option<bool>,
    #[serde(borrow)]
    start_timestamp: &'a RawValue,
    #[serde(borrow)]
    end_timestamp: Option<&'a RawValue>,
    attributes: Option<Typed>,
    #[serde(borrow)]
    links: Option<Vec<LinkFields<'a, Typed>>>,
}

pub(super) type Map = serde_json::Map<String, serde_json::Value>;

/// A span of the first version.
#[derive(Deserialize)]
struct First<'a> {
    trace_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    span_id: Cow<'a, str>,
    parent_span_id: Option<Cow<'a, str>>,
    op: Option<Cow<'a, str>>,
    description: Option<Cow<'a, str>>,
    status: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    origin: Option<Cow<'a, str>>,
    is_segment: Option<bool>,
    #[serde(borrow)]
    start_timestamp: &'a RawValue,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "lenient")]
    data: Option<Map>,
    #[serde(default, deserialize_with = "fields::tags")]
    tags: Option<Map>,
    #[serde(default, deserialize_with = "lenient")]
    measurements: Option<Map>,
    #[serde(borrow)]
    links: Option<Vec<LinkFields<'a, Map>>>,
}

/// A transaction, but for its spans.
#[derive(Deserialize)]
struct Transaction<'a> {
    #[serde(borrow)]
    contexts: Contexts<'a>,
    transaction: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "lenient")]
    transaction_info: Option<Map>,
    #[serde(borrow)]
    start_timestamp: &'a RawValue,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "lenient")]
    measurements: Option<Map>,
}

#[derive(Deserialize)]
struct Contexts<'a> {
    #[serde(borrow)]
    trace: TraceContext<'a>,
}

#[derive(Deserialize)]
struct TraceContext<'a> {
    #[serde(borrow)]
    trace_id: Cow<'a, str>,
    #[serde(borrow)]
    span_id: Cow<'a, str>,
    parent_span_id: Option<Cow<'a, str>>,
    op: Option<Cow<'a, str>>,
    status: Option<Cow<'a, str>>,
    origin: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "lenient")]
    data: Option<Map>,
    #[serde(borrow)]
    links: Option<Vec<LinkFields<'a, Map>>>,
}

/// What an event of any kind says of its circumstances. Requests' headers and cookies are not kept: there may be secrets
/// in them.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct About {
    #[serde(deserialize_with = "lenient")]
    pub(super) release: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) environment: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) platform: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) server_name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) sdk: Option<super::envelope::Sdk>,
    #[serde(deserialize_with = "fields::tags")]
    pub(super) tags: Option<Map>,
    #[serde(deserialize_with = "lenient")]
    pub(super) user: Option<User>,
}

#[derive(Deserialize, Default)]
pub(super) struct User {
    #[serde(default, deserialize_with = "lenient")]
    id: Option<serde_json::Value>,
}

impl About {
    /// The attributes that say the same.
    pub(super) fn put_into(&mut self, attributes: &mut Vec<Attribute>) {
        for (key, text) in [
            (kept::RELEASE, &self.release),
            (kept::ENVIRONMENT, &self.environment),
            (kept::PLATFORM, &self.platform),
            (kept::SERVER, &self.server_name),
        ] {
            if let Some(text) = text {
                put(attributes, key, text.clone());
            }
        }
        if let Some(id) = self.user.take().and_then(|user| user.id) {
            put(attributes, "user.id", fields::value(id));
        }
        put_all(attributes, self.tags.take());
    }
}

/// What the spans of an item have in common.
#[derive(Default)]
struct Shared {
    trace_id: Option<TraceId>,
    release: Option<String>,
    environment: Option<String>,
    sdk: Option<super::envelope::Sdk>,
}

/// A reader of one item.
struct Reader<'r, 'o> {
    from: &'r Source<'r>,
    room: Room<'r>,
    out: &'o mut Taken,
    resources: Resources,
}

impl Reader<'_, '_> {
    /// Reads each member of a list with `read`.
    fn each(
        &mut self,
        payload: &[u8],
        list: &'static str,
        mut read: impl FnMut(&mut Self, &str) -> Result<Span, RefusedReason>,
    ) -> Result<(), ItemError> {
        let mut enough = true;
        each_of(payload, list, &mut |raw| {
            enough = self.put(raw, &mut read);
            enough
        })?;
        match enough {
            true => Ok(()),
            false => Err(ItemError::NoRoom),
        }
    }

    /// Reads one span, and keeps it or counts it; false if there is no room for it.
    fn put(
        &mut self,
        raw: &RawValue,
        read: impl FnOnce(&mut Self, &str) -> Result<Span, RefusedReason>,
    ) -> bool {
        let text = raw.get();
        if text.len() > self.from.span_bytes {
            Refused::count_in(&mut self.out.refused, RefusedReason::TooLarge);
            return true;
        }
        let read = read(self, text);
        let enough = read
            .as_ref()
            .map_or(true, |span| (self.room)(fields::parts(span)));
        if enough {
            self.out.put(read);
        }
        enough
    }

    fn second(&mut self, text: &str) -> Result<Span, RefusedReason> {
        let span: Second<'_> = parse(text)?;
        let mut attributes = span.attributes.map(Typed::attributes).unwrap_or_default();
        let message = take_text(&mut attributes, kept::STATUS_MESSAGE);
        let trace_state = take_text(&mut attributes, kept::TRACE_STATE).unwrap_or(Text::EMPTY);
        let events = fields::take_events(&mut attributes);
        let status = match span.status.as_deref() {
            Some("error") => SpanStatus::Error(message.unwrap_or(Text::EMPTY)),
            other => fields::status(other, &mut attributes),
        };
        let kind = kind_of(span.kind.as_deref(), &attributes);
        let (links, lost) = fields::links(span.links.unwrap_or_default(), Typed::attributes);
        self.count_lost(lost);
        if let Some(is_segment) = span.is_segment {
            put(&mut attributes, kept::IS_SEGMENT, is_segment);
        }
        let times = Times::read(span.start_timestamp, span.end_timestamp)?;
        let resource = self.resource(&Shared::default(), &attributes);
        self.whole(
            Span {
                links,
                status,
                kind,
                events,
                trace_state,
                ..times.span(
                    fields::trace_id(&span.trace_id)?,
                    &span.span_id,
                    span.parent_span_id.as_deref(),
                    span.name.unwrap_or_default().into_owned(),
                    resource,
                )?
            },
            attributes,
        )
    }

    fn first(&mut self, text: &str, shared: &Shared) -> Result<Span, RefusedReason> {
        let span: First<'_> = parse(text)?;
        let trace_id = match (&span.trace_id, shared.trace_id) {
            (Some(own), _) => fields::trace_id(own)?,
            (None, Some(shared)) => shared,
            (None, None) => return Err(RefusedReason::TraceId),
        };
        let mut attributes = Vec::new();
        put_all(&mut attributes, span.data);
        put_all(&mut attributes, span.tags);
        put_measurements(&mut attributes, span.measurements);
        let op = span.op.unwrap_or_default().into_owned();
        let name = span.description.filter(|name| !name.is_empty());
        let name = name.map_or_else(|| op.clone(), Cow::into_owned);
        let status = fields::status(span.status.as_deref(), &mut attributes);
        let kind = kind_of(span.kind.as_deref(), &attributes);
        let (links, lost) = fields::links(span.links.unwrap_or_default(), members);
        self.count_lost(lost);
        put_op_and_origin(&mut attributes, op, span.origin);
        if let Some(is_segment) = span.is_segment {
            put(&mut attributes, kept::IS_SEGMENT, is_segment);
        }
        let times = Times::read(span.start_timestamp, span.timestamp)?;
        let resource = self.resource(shared, &attributes);
        self.whole(
            Span {
                links,
                status,
                kind,
                ..times.span(
                    trace_id,
                    &span.span_id,
                    span.parent_span_id.as_deref(),
                    name,
                    resource,
                )?
            },
            attributes,
        )
    }

    fn transaction(&mut self, payload: &[u8]) -> Result<(), ItemError> {
        let mut of_spans = 0;
        each_of(payload, "spans", &mut |raw| {
            of_spans += raw.get().len();
            true
        })?;
        let mut shared = Shared::default();
        if payload.len().saturating_sub(of_spans) > self.from.span_bytes {
            Refused::count_in(&mut self.out.refused, RefusedReason::TooLarge);
        } else {
            let text = std::str::from_utf8(payload).map_err(serde::de::Error::custom);
            let read = self.root(text.map_err(ItemError::Json)?, &mut shared);
            let enough = read
                .as_ref()
                .map_or(true, |span| (self.room)(fields::parts(span)));
            if !enough {
                return Err(ItemError::NoRoom);
            }
            self.out.put(read);
        }
        self.each(payload, "spans", |reader, raw| reader.first(raw, &shared))
    }

    /// The span that a transaction itself is; what its spans share with it is put into `shared`.
    fn root(&mut self, text: &str, shared: &mut Shared) -> Result<Span, RefusedReason> {
        let Transaction {
            contexts: Contexts { trace },
            transaction,
            transaction_info,
            start_timestamp,
            timestamp,
            measurements,
        } = parse(text)?;
        let mut about: About = parse(text)?;
        let trace_id = fields::trace_id(&trace.trace_id)?;
        *shared = Shared {
            trace_id: Some(trace_id),
            release: about.release.clone(),
            environment: about.environment.clone(),
            sdk: about.sdk.clone(),
        };
        let mut attributes = Vec::new();
        put_all(&mut attributes, trace.data);
        let status = fields::status(trace.status.as_deref(), &mut attributes);
        let kind = kind_of(None, &attributes);
        put_op_and_origin(
            &mut attributes,
            trace.op.unwrap_or_default().into_owned(),
            trace.origin,
        );
        put(&mut attributes, kept::IS_SEGMENT, true);
        if let Some(source) = transaction_info.and_then(|mut info| info.remove("source")) {
            put(&mut attributes, kept::SOURCE, fields::value(source));
        }
        about.put_into(&mut attributes);
        put_measurements(&mut attributes, measurements);
        let (links, lost) = fields::links(trace.links.unwrap_or_default(), members);
        self.count_lost(lost);
        let times = Times::read(start_timestamp, timestamp)?;
        let resource = self.resource(shared, &attributes);
        let name = transaction.unwrap_or_default().into_owned();
        self.whole(
            Span {
                links,
                status,
                kind,
                ..times.span(
                    trace_id,
                    &trace.span_id,
                    trace.parent_span_id.as_deref(),
                    name,
                    resource,
                )?
            },
            attributes,
        )
    }

    fn count_lost(&mut self, links: usize) {
        for _ in 0..links {
            Refused::count_in(&mut self.out.refused, RefusedReason::Link);
        }
    }

    /// The resource of a span with these attributes.
    fn resource(&mut self, shared: &Shared, attributes: &[Attribute]) -> Arc<Resource> {
        let header = self.from.header;
        let own = |key: &str| {
            let found = attributes.iter().find(|attribute| &*attribute.key == key);
            match found.map(|attribute| &attribute.value) {
                Some(Value::Text(text)) => Some(&**text),
                _ => None,
            }
        };
        let of_trace = |key: &str| header.trace.get(key).map(String::as_str);
        let sdk = shared.sdk.as_ref().or(header.sdk.as_ref());
        let attributes = fields::resource_attributes(
            own("service.name").or(self.from.service),
            own(kept::RELEASE)
                .or(shared.release.as_deref())
                .or(of_trace("release")),
            own(kept::ENVIRONMENT)
                .or(shared.environment.as_deref())
                .or(of_trace("environment")),
            (
                own("sentry.sdk.name").or(sdk.and_then(|sdk| sdk.name.as_deref())),
                own("sentry.sdk.version").or(sdk.and_then(|sdk| sdk.version.as_deref())),
            ),
        );
        self.resources.of(attributes)
    }

    /// The span with its attributes, and with what the envelope says of its sampling.
    fn whole(&self, span: Span, mut attributes: Vec<Attribute>) -> Result<Span, RefusedReason> {
        let rate = self.from.header.trace.get("sample_rate");
        if let Some(rate) = rate.and_then(|rate| rate.parse::<f64>().ok())
            && rate > 0.0
            && rate < 1.0
        {
            put(&mut attributes, kept::SAMPLE_RATE, rate);
        }
        Ok(fields::with(span, attributes))
    }
}

/// When a span began and ended; without an end it is unfinished.
struct Times {
    start: Timestamp,
    end: Option<Timestamp>,
}

impl Times {
    fn read(start: &RawValue, end: Option<&RawValue>) -> Result<Self, RefusedReason> {
        let end = end.filter(|raw| raw.get() != "null");
        Ok(Self {
            start: fields::time(start)?,
            end: end.map(fields::time).transpose()?,
        })
    }

    fn span(
        &self,
        trace_id: TraceId,
        span_id: &str,
        parent_id: Option<&str>,
        name: String,
        resource: Arc<Resource>,
    ) -> Result<Span, RefusedReason> {
        let span = fields::bare(
            trace_id,
            fields::span_id(span_id)?,
            fields::parent_id(parent_id)?,
            name,
            (self.start, self.end.unwrap_or(self.start)),
            resource,
        );
        Ok(Span {
            pending: self.end.is_none(),
            ..span
        })
    }
}

pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, RefusedReason> {
    serde_json::from_str(text).map_err(|_| RefusedReason::Malformed)
}

/// The kind as the span says it, or as one of the attributes does that SDKs put it into.
fn kind_of(own: Option<&str>, attributes: &[Attribute]) -> SpanKind {
    let said = own.and_then(fields::kind).or_else(|| {
        let keys = ["sentry.kind", "otel.kind"];
        let said = attributes
            .iter()
            .find(|attribute| keys.contains(&&*attribute.key));
        match said.map(|attribute| &attribute.value) {
            Some(Value::Text(name)) => fields::kind(name),
            _ => None,
        }
    });
    said.unwrap_or_default()
}

fn members(map: Map) -> Vec<Attribute> {
    let members = map.into_iter();
    members
        .map(|(key, json)| Attribute::new(key, fields::value(json)))
        .collect()
}

/// Adds the members of a map but for those whose keys are there.
pub(super) fn put_all(attributes: &mut Vec<Attribute>, map: Option<Map>) {
    let known: HashSet<Text> = attributes.iter().map(|own| own.key.clone()).collect();
    let members = members(map.unwrap_or_default()).into_iter();
    attributes.extend(members.filter(|attribute| !known.contains(&attribute.key)));
}

/// Measurements (`{"lcp": {"value": 1.5, "unit": "second"}}`) as `measurements.lcp` and `measurements.lcp.unit`.
fn put_measurements(attributes: &mut Vec<Attribute>, map: Option<Map>) {
    let mut measured = Map::new();
    for (name, one) in map.unwrap_or_default() {
        let (value, unit) = match one {
            serde_json::Value::Object(mut one) => (one.remove("value"), one.remove("unit")),
            plain => (Some(plain), None),
        };
        let key = format!("measurements.{name}");
        if let Some(serde_json::Value::String(unit)) = unit
            && !matches!(unit.as_str(), "" | "none")
        {
            measured.insert(format!("{key}.unit"), unit.into());
        }
        if let Some(value) = value.and_then(|value| value.as_f64()) {
            measured.insert(key, value.into());
        }
    }
    put_all(attributes, Some(measured));
}

fn put_op_and_origin(attributes: &mut Vec<Attribute>, op: String, origin: Option<Cow<'_, str>>) {
    if !op.is_empty() {
        put(attributes, kept::OP, op);
    }
    if let Some(origin) = origin {
        put(attributes, kept::ORIGIN, origin.into_owned());
    }
}

/// How long a report of losses is taken, in bytes: there are a few dozen reasons and categories.
const REPORT_BYTES: usize = 64 << 10;

/// What a client could not send (`client_report`): how many of each reason and category together.
///
/// # Errors
/// If the payload is no report, or longer than any.
pub fn lost_by_client(payload: &[u8]) -> Result<Vec<(String, String, u64)>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Report {
        #[serde(default)]
        discarded_events: Vec<Discarded>,
    }
    #[derive(Deserialize)]
    struct Discarded {
        reason: String,
        category: String,
        quantity: u64,
    }
    if payload.len() > REPORT_BYTES {
        let told = format!("a report has at most {REPORT_BYTES} bytes");
        return Err(serde::de::Error::custom(told));
    }
    let report: Report = serde_json::from_slice(payload)?;
    let all = report.discarded_events.into_iter();
    Ok(all
        .map(|lost| (lost.reason, lost.category, lost.quantity))
        .collect())
}
