//! The span record that all telemetry is made of, and the trait of whatever takes spans.
//!
//! A hop makes several spans of every event, so the record is fixed and cheap: ids and times inline, the
//! `event.*` attributes of an event shared by reference, names as a constant stem and a cheap suffix.
//! The same record holds any span of any OpenTelemetry or Sentry SDK without loss of what they say;
//! [`crate::otlp`] converts both ways.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use crate::ids::{SpanId, TraceId};
use crate::time::Timestamp;

/// A text that is cheap to clone: a constant of the program, or shared.
#[derive(Clone)]
pub enum Text {
    /// A constant of the program.
    Static(&'static str),
    /// A shared text.
    Shared(Arc<str>),
}

impl Text {
    /// The empty text.
    pub const EMPTY: Self = Self::Static("");
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self::Static(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Shared(text.into())
    }
}

impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Self {
        Self::Shared(text)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// A span's name: a constant stem such as `broker.forwardEvent.`, and what follows it.
///
/// Names are equal if they read the same, wherever the stem ends.
#[derive(Clone, Default)]
pub struct SpanName {
    /// The constant beginning; empty for spans that others made.
    pub stem: &'static str,
    /// The rest.
    pub rest: Text,
}

impl SpanName {
    /// A name made of a stem and the rest.
    #[must_use]
    pub fn new(stem: &'static str, rest: impl Into<Text>) -> Self {
        Self {
            stem,
            rest: rest.into(),
        }
    }

    /// How long the whole name is, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stem.len() + self.rest.len()
    }

    /// Whether the name is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
        self.stem.bytes().chain(self.rest.bytes())
    }
}

impl PartialEq for SpanName {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.bytes().eq(other.bytes())
    }
}

impl Eq for SpanName {}

impl Hash for SpanName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().for_each(|byte| state.write_u8(byte));
        state.write_u8(0xff);
    }
}

impl From<&'static str> for SpanName {
    fn from(name: &'static str) -> Self {
        Self {
            stem: name,
            rest: Text::EMPTY,
        }
    }
}

impl From<String> for SpanName {
    fn from(name: String) -> Self {
        Self {
            stem: "",
            rest: name.into(),
        }
    }
}

impl fmt::Display for SpanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.stem, self.rest)
    }
}

impl fmt::Debug for SpanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// The value of an attribute, as OpenTelemetry's `AnyValue` allows.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text.
    Text(Text),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Raw bytes.
    Bytes(Arc<[u8]>),
    /// A list.
    List(Arc<[Value]>),
    /// A map, in the order it came.
    Map(Arc<[Attribute]>),
    /// No value.
    Empty,
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Self::Text(text.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

/// One attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// Its key, such as `db.operation.name`.
    pub key: Text,
    /// Its value.
    pub value: Value,
}

impl Attribute {
    /// An attribute.
    pub fn new(key: impl Into<Text>, value: impl Into<Value>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }
}

/// OpenTelemetry's span kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum SpanKind {
    /// Not said.
    #[default]
    Unspecified = 0,
    /// Work inside one part.
    Internal = 1,
    /// The far side of a request.
    Server = 2,
    /// The near side of a request.
    Client = 3,
    /// Something handed on.
    Producer = 4,
    /// Something taken up.
    Consumer = 5,
}

impl SpanKind {
    /// Its name in small letters; none for a kind that was not said.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Unspecified => return None,
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        })
    }
}

impl SpanKind {
    /// The kind with this number in OpenTelemetry's protocol.
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }
}

/// How a span ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SpanStatus {
    /// Nothing was said, which means well.
    #[default]
    Unset,
    /// Said to be well.
    Ok,
    /// Failed, with a description.
    Error(Text),
}

impl SpanStatus {
    /// Whether the span failed.
    #[must_use]
    pub const fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }
}

/// The attributes that every hop of one event carries: written once, shared by its spans.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventKeys {
    /// `event.type`: the event's type; from the processor on, that of the part inside.
    pub event_type: Text,
    /// `event.projectId`; empty if the event names none.
    pub project_id: Text,
    /// `event.commandId`; empty if the event names none.
    pub command_id: Text,
    /// `event.seq`; 0 if the event has none.
    pub seq: u64,
    /// `event.sessionId`; empty before the processor.
    pub session_id: Text,
}

impl EventKeys {
    /// The keys as attributes, those that are there.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute> + '_ {
        let texts = [
            ("event.type", &self.event_type),
            ("event.projectId", &self.project_id),
            ("event.commandId", &self.command_id),
            ("event.sessionId", &self.session_id),
        ];
        let seq = (self.seq > 0)
            .then(|| Attribute::new("event.seq", i64::try_from(self.seq).unwrap_or(i64::MAX)));
        let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
        texts
            .map(|(key, text)| Attribute::new(key, text.clone()))
            .chain(seq)
    }

    /// Those that all events of the command have: for a span that is shared by several.
    #[must_use]
    pub fn of_command(&self) -> Self {
        Self {
            event_type: Text::EMPTY,
            seq: 0,
            ..self.clone()
        }
    }

    /// Leaves out what `other` does not say as well, of what [`Self::of_command`] has.
    pub fn keep_common(&mut self, other: &Self) {
        let pairs = [
            (&mut self.project_id, &other.project_id),
            (&mut self.command_id, &other.command_id),
            (&mut self.session_id, &other.session_id),
        ];
        for (own, other) in pairs {
            if own != other {
                *own = Text::EMPTY;
            }
        }
    }
}

/// Another span that this one has to do with.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The other span's trace.
    pub trace_id: TraceId,
    /// The other span.
    pub span_id: SpanId,
    /// What is said of the tie.
    pub attributes: Vec<Attribute>,
}

/// A span's links. A group commit's statements all link the same spans, so the list can be shared.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Links {
    /// None.
    #[default]
    None,
    /// Spans of the same trace, nothing said of them.
    SameTrace(Arc<[SpanId]>),
    /// Any spans.
    Any(Vec<Link>),
}

impl Links {
    /// The links one by one, in a span of the trace `own`.
    pub fn iter(&self, own: TraceId) -> impl Iterator<Item = Link> + '_ {
        let (same, any): (&[SpanId], &[Link]) = match self {
            Self::None => (&[], &[]),
            Self::SameTrace(ids) => (ids, &[]),
            Self::Any(links) => (&[], links),
        };
        let same = same.iter().map(move |id| Link {
            trace_id: own,
            span_id: *id,
            attributes: Vec::new(),
        });
        same.chain(any.iter().cloned())
    }
}

/// Something that happened within a span.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanEvent {
    /// When.
    pub at: Timestamp,
    /// What, such as `retry` or `exception`.
    pub name: Text,
    /// More of it.
    pub attributes: Vec<Attribute>,
}

/// The name of the span that tells, in `hopline.dropped_spans`, how many spans of its trace its maker had to drop.
pub const DROPPED: &str = "hopline.spans.dropped";

/// The resource attribute that says when the process was started, in ISO 8601 (OpenTelemetry's conventions).
pub const CREATION_TIME: &str = "process.creation.time";

/// Who made a span: OpenTelemetry's resource and instrumentation scope.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resource {
    /// The resource's attributes, `service.name` among them.
    pub attributes: Vec<Attribute>,
    /// The instrumentation scope's name.
    pub scope_name: Text,
    /// The instrumentation scope's version.
    pub scope_version: Text,
}

impl Resource {
    /// The `service.name`; `unknown_service` if there is none, as OpenTelemetry has it.
    #[must_use]
    pub fn service(&self) -> Text {
        let named = self
            .attributes
            .iter()
            .find(|attribute| &*attribute.key == "service.name");
        match named.map(|attribute| &attribute.value) {
            Some(Value::Text(name)) => name.clone(),
            _ => Text::Static("unknown_service"),
        }
    }
}

/// One span.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Its trace.
    pub trace_id: TraceId,
    /// Itself.
    pub span_id: SpanId,
    /// The span that caused it; none for a trace's root.
    pub parent_id: Option<SpanId>,
    /// Its name.
    pub name: SpanName,
    /// `sentry.op`; empty if there is none.
    pub op: Text,
    /// Its kind.
    pub kind: SpanKind,
    /// When it began.
    pub start: Timestamp,
    /// When it ended; equal to `start` while it is pending.
    pub end: Timestamp,
    /// How it ended.
    pub status: SpanStatus,
    /// Whether it was still open when this was written (`hopline.pending`). The finished span has the
    /// same ids and replaces this one.
    pub pending: bool,
    /// The event that it is a hop of.
    pub event: Option<EventKeys>,
    /// All other attributes.
    pub attributes: Vec<Attribute>,
    /// Links to other spans.
    pub links: Links,
    /// What happened within it.
    pub events: Vec<SpanEvent>,
    /// `tracestate` (W3C); empty if there is none.
    pub trace_state: Text,
    /// Who made it.
    pub resource: Arc<Resource>,
}

impl Span {
    /// The span's length in nanoseconds; 0 if its end lies before its start.
    #[must_use]
    pub const fn duration_nanos(&self) -> u64 {
        self.end.nanos_since(self.start)
    }

    /// The value of an attribute, those of the event and the fixed fields included.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<Value> {
        if let Some(own) = self
            .attributes
            .iter()
            .find(|attribute| &*attribute.key == key)
        {
            return Some(own.value.clone());
        }
        match key {
            "sentry.op" if !self.op.is_empty() => Some(Value::Text(self.op.clone())),
            "hopline.pending" if self.pending => Some(Value::Bool(true)),
            _ => self
                .event
                .as_ref()?
                .attributes()
                .find(|attribute| &*attribute.key == key)
                .map(|found| found.value),
        }
    }
}

/// Why spans were not taken.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The sink has no room just now.
    #[error("take spans: the sink is full")]
    Full,
    /// The sink cannot take spans until something is mended.
    #[error("take spans: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Whatever takes spans: a trace store, an exporter.
///
/// `take` may block for as long as a write takes; the telemetry pipeline calls it from a thread of its
/// own. Having returned `Ok`, the sink owns the fate of the spans: it stores them or counts them as lost.
pub trait SpanSink: Send + Sync {
    /// Takes the spans.
    ///
    /// # Errors
    /// [`SinkError`]; then none of them is taken.
    fn take(&self, spans: &[Span]) -> Result<(), SinkError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_equal_by_content() {
        assert_eq!(Text::from("a"), Text::from(String::from("a")));
        assert_eq!(SpanName::new("a.", "b").to_string(), "a.b");
        assert_eq!(SpanName::new("a.", "b"), SpanName::from("a.b"));
        assert_ne!(SpanName::new("a.", "b"), SpanName::from("a.c"));
    }

    #[test]
    fn an_events_keys_are_attributes_where_they_are_there() {
        let keys = EventKeys {
            event_type: "ack".into(),
            seq: 3,
            ..EventKeys::default()
        };
        let all: Vec<_> = keys.attributes().collect();
        assert_eq!(
            all,
            [
                Attribute::new("event.type", "ack"),
                Attribute::new("event.seq", 3)
            ]
        );
    }

    #[test]
    fn a_resource_without_a_service_is_unknown() {
        assert_eq!(&*Resource::default().service(), "unknown_service");
    }
}
