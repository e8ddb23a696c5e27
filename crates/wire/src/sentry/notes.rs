//! Items that are no spans but belong to one: errors and messages (`event`) and logs (`log`). Each becomes a record of
//! its trace that takes no time, under the span during which it came about ([`kept::RECORD`]).
//!
//! Of an event are kept: its level, message and exceptions with their stacks, tags, user's id, breadcrumbs, contexts and
//! extra data; not the request, in whose headers secrets stand.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::envelope::Item;
use super::fields::{self, Resources, Typed, each_of, lenient, put};
use super::spans::{About, Source, parse};
use super::{ItemError, Room, Taken, kept};
use crate::ids::SpanId;
use crate::otlp::{Refused, RefusedReason};
use crate::span::{Attribute, Span, SpanEvent, SpanStatus, Text, Value};
use crate::text;

/// How much of a message is a record's name, in bytes.
const NAME_BYTES: usize = 256;

/// From this severity on a log tells of a failure (OpenTelemetry's numbers).
const ERROR_SEVERITY: i64 = 17;

/// Whether an item holds such records.
#[must_use]
pub fn holds_notes(kind: &str) -> bool {
    matches!(kind, "event" | "log")
}

/// Reads an item that holds such records.
///
/// # Errors
/// If the payload is no JSON of its kind, or if there is no room; what was read until then is in `out`.
pub fn read(
    item: &Item<'_>,
    from: &Source<'_>,
    room: Room<'_>,
    out: &mut Taken,
) -> Result<(), ItemError> {
    let mut enough = true;
    let mut resources = Resources::default();
    let mut take = |raw: &RawValue, read: Read| {
        if raw.get().len() > from.span_bytes {
            Refused::count_in(&mut out.refused, RefusedReason::TooLarge);
            return true;
        }
        let read = read(raw.get(), from, &mut resources);
        enough = read.as_ref().map_or(true, |span| room(fields::parts(span)));
        if enough {
            out.put(read);
        }
        enough
    };
    if item.header.kind == "event" {
        let _ = take(serde_json::from_slice(item.payload)?, event);
    } else {
        each_of(item.payload, "items", &mut |raw| take(raw, log))?;
    }
    match enough {
        true => Ok(()),
        false => Err(ItemError::NoRoom),
    }
}

type Read = fn(&str, &Source<'_>, &mut Resources) -> Result<Span, RefusedReason>;

#[derive(Deserialize)]
struct Event<'a> {
    event_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    level: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "lenient")]
    message: Option<Message>,
    #[serde(default, deserialize_with = "lenient")]
    logentry: Option<Message>,
    #[serde(borrow)]
    exception: Option<&'a RawValue>,
    #[serde(default, borrow)]
    contexts: BTreeMap<Cow<'a, str>, &'a RawValue>,
    #[serde(borrow)]
    breadcrumbs: Option<&'a RawValue>,
    #[serde(borrow)]
    extra: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Plain(String),
    Formatted {
        formatted: Option<String>,
        message: Option<String>,
    },
}

impl Message {
    fn text(self) -> Option<String> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Formatted { formatted, message } => formatted.or(message),
        }
    }
}

#[derive(Deserialize)]
struct Exception<'a> {
    #[serde(rename = "type", default, deserialize_with = "lenient")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    value: Option<String>,
    #[serde(borrow)]
    stacktrace: Option<&'a RawValue>,
}

/// How many exceptions of an event are kept: the last, which was thrown, and those that caused it.
const EXCEPTIONS: usize = 64;

/// The exceptions: a list, mostly within an object. One that is not written as it should be costs no other.
fn exceptions(raw: &RawValue) -> Vec<Exception<'_>> {
    #[derive(Deserialize)]
    struct Values<'a> {
        #[serde(borrow)]
        values: Vec<&'a RawValue>,
    }
    let text = raw.get();
    let within = serde_json::from_str::<Values<'_>>(text).map(|within| within.values);
    let all = within.or_else(|_| serde_json::from_str::<Vec<&RawValue>>(text));
    let all = all.unwrap_or_default();
    let last = all.len().saturating_sub(EXCEPTIONS);
    let each = all[last..].iter();
    each.filter_map(|one| serde_json::from_str(one.get()).ok())
        .collect()
}

#[derive(Deserialize, Default)]
struct TraceContext<'a> {
    trace_id: Option<Cow<'a, str>>,
    span_id: Option<Cow<'a, str>>,
}

fn event(text: &str, from: &Source<'_>, resources: &mut Resources) -> Result<Span, RefusedReason> {
    let event: Event<'_> = parse(text)?;
    let mut about: About = parse(text)?;
    let header = from.header;
    let event_id = event.event_id.as_deref().or(header.event_id.as_deref());
    let event_id = fields::trace_id(event_id.unwrap_or_default());
    let event_id = event_id.map_err(|_| RefusedReason::SpanId)?;
    let trace = event.contexts.get("trace");
    let trace: TraceContext<'_> = trace
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    let trace_id = match trace.trace_id.as_deref().or_else(|| trace_of(from)) {
        Some(text) => fields::trace_id(text)?,
        // An event by itself is a trace by itself.
        None => event_id,
    };
    let parent_id = fields::parent_id(trace.span_id.as_deref())?;
    let at = event.timestamp.map(fields::time).transpose()?;
    let at = at.unwrap_or(from.received);
    let exceptions = event.exception.map(exceptions).unwrap_or_default();
    let message = event.message.or(event.logentry).and_then(Message::text);
    // The last exception is the one that was thrown; those before it are its causes.
    let thrown = exceptions.last().map(|exception| {
        let parts = [exception.kind.as_deref(), exception.value.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
    });
    let title = thrown.or_else(|| message.clone()).unwrap_or_default();
    let level = event
        .level
        .map_or_else(|| "error".to_owned(), Cow::into_owned);
    let mut attributes = vec![
        Attribute::new(kept::RECORD, "event"),
        Attribute::new("sentry.event_id", event_id.to_string()),
        Attribute::new("level", level.clone()),
    ];
    if let Some(message) = message {
        attributes.push(Attribute::new("message", message));
    }
    let contexts = event
        .contexts
        .into_iter()
        .filter(|(name, _)| name != "trace");
    let contexts: BTreeMap<_, _> = contexts.collect();
    let contexts = (!contexts.is_empty()).then(|| serde_json::to_string(&contexts).ok());
    let [breadcrumbs, extra] =
        [event.breadcrumbs, event.extra].map(|raw| raw.map(|raw| raw.get().to_owned()));
    for (key, json) in [
        ("sentry.contexts", contexts.flatten()),
        ("sentry.breadcrumbs", breadcrumbs),
        ("sentry.extra", extra),
    ] {
        attributes.extend(json.map(|json| Attribute::new(key, json)));
    }
    about.put_into(&mut attributes);
    let sdk = about.sdk.as_ref().or(header.sdk.as_ref());
    let of_trace = |key: &str| header.trace.get(key).map(String::as_str);
    let resource = fields::resource_attributes(
        from.service,
        about.release.as_deref().or(of_trace("release")),
        about.environment.as_deref().or(of_trace("environment")),
        (
            sdk.and_then(|sdk| sdk.name.as_deref()),
            sdk.and_then(|sdk| sdk.version.as_deref()),
        ),
    );
    let failed = matches!(level.as_str(), "error" | "fatal");
    let events = exceptions.into_iter().map(|exception| {
        let stack = exception.stacktrace.map(|raw| raw.get().to_owned());
        let attributes = [
            ("exception.type", exception.kind),
            ("exception.message", exception.value),
            ("exception.stacktrace", stack),
        ];
        let attributes = attributes.into_iter();
        SpanEvent {
            at,
            name: Text::Static("exception"),
            attributes: attributes
                .filter_map(|(key, text)| Some(Attribute::new(key, text?)))
                .collect(),
        }
    });
    let span_id = own_id(&event_id.to_bytes())?;
    let name = name_of(&title);
    let mut span = fields::bare(
        trace_id,
        span_id,
        parent_id,
        name,
        (at, at),
        resources.of(resource),
    );
    span.op = Text::Static("event");
    span.events = events.collect();
    if failed {
        span.status = SpanStatus::Error(span.name.rest.clone());
    }
    Ok(fields::with(span, attributes))
}

#[derive(Deserialize)]
struct Log<'a> {
    #[serde(borrow)]
    timestamp: &'a RawValue,
    trace_id: Option<Cow<'a, str>>,
    span_id: Option<Cow<'a, str>>,
    level: Option<Cow<'a, str>>,
    severity_number: Option<i64>,
    body: Option<Cow<'a, str>>,
    attributes: Option<Typed>,
}

fn log(text: &str, from: &Source<'_>, resources: &mut Resources) -> Result<Span, RefusedReason> {
    let log: Log<'_> = parse(text)?;
    let at = fields::time(log.timestamp)?;
    let trace_id = log.trace_id.as_deref().or_else(|| trace_of(from));
    let trace_id = fields::trace_id(trace_id.unwrap_or_default())?;
    let body = log.body.unwrap_or_default();
    let mut attributes = log.attributes.map(Typed::attributes).unwrap_or_default();
    let parent = fields::take_text(&mut attributes, "sentry.trace.parent_span_id");
    let parent_id = fields::parent_id(log.span_id.as_deref().or(parent.as_deref()))?;
    let named = |key: &str| {
        let found = attributes.iter().find(|attribute| &*attribute.key == key);
        match found.map(|attribute| &attribute.value) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    };
    let [service, release, environment, sdk, version] = [
        "service.name",
        kept::RELEASE,
        kept::ENVIRONMENT,
        "sentry.sdk.name",
        "sentry.sdk.version",
    ]
    .map(named);
    let own_sdk = from.header.sdk.as_ref();
    let resource = fields::resource_attributes(
        service.as_deref().or(from.service),
        release.as_deref(),
        environment.as_deref(),
        (
            sdk.as_deref()
                .or(own_sdk.and_then(|sdk| sdk.name.as_deref())),
            version
                .as_deref()
                .or(own_sdk.and_then(|sdk| sdk.version.as_deref())),
        ),
    );
    let level = log.level.map_or_else(|| "info".to_owned(), Cow::into_owned);
    let severity = log.severity_number;
    let failed = severity.map_or(matches!(level.as_str(), "error" | "fatal"), |severity| {
        severity >= ERROR_SEVERITY
    });
    attributes.push(Attribute::new(kept::RECORD, "log"));
    put(&mut attributes, "level", level);
    attributes.extend(severity.map(|number| Attribute::new("severity_number", number)));
    if body.len() > NAME_BYTES {
        put(&mut attributes, "message", body.clone().into_owned());
    }
    // A log has no id. One made of all it says makes the same log, sent twice, one record.
    let span_id = own_id(&Sha256::digest(text))?;
    let name = name_of(&body);
    let mut span = fields::bare(
        trace_id,
        span_id,
        parent_id,
        name,
        (at, at),
        resources.of(resource),
    );
    span.op = Text::Static("log");
    if failed {
        span.status = SpanStatus::Error(span.name.rest.clone());
    }
    Ok(fields::with(span, attributes))
}

fn trace_of<'a>(from: &'a Source<'_>) -> Option<&'a str> {
    from.header.trace.get("trace_id").map(String::as_str)
}

/// The first eight bytes as an id. They are random, so all zeros will not be met.
fn own_id(bytes: &[u8]) -> Result<SpanId, RefusedReason> {
    let id = bytes
        .first_chunk()
        .and_then(|bytes| SpanId::from_bytes(*bytes));
    id.ok_or(RefusedReason::SpanId)
}

/// The name of a record.
fn name_of(title: &str) -> String {
    text::prefix(title.lines().next().unwrap_or_default(), NAME_BYTES).to_owned()
}
