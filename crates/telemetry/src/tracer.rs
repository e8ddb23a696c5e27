//! Making spans: a [`Tracer`] for each part of Hopline, all feeding one [`Pipeline`].

use std::sync::Arc;

use hopline_wire::span::{
    Attribute, CREATION_TIME, EventKeys, Link, Links, Resource, Span, SpanEvent, SpanStatus, Text,
    Value,
};
use hopline_wire::{SpanId, Timestamp};

use crate::context::TraceContext;
use crate::contract::{Hop, keys};
use crate::heads::Heads;
use crate::ids;
use crate::pipeline::Pipeline;

/// Makes the spans of one part of Hopline. Cheap to clone.
#[derive(Clone)]
pub struct Tracer {
    pipeline: Pipeline,
    resource: Arc<Resource>,
    heads: Option<Heads>,
}

impl Tracer {
    /// The tracer of the part that calls itself `service` (`hopline-runner`, say) in `service.name`.
    /// `instance` tells several of one kind apart. When the process was started and its id tell it from those that have
    /// the same place before and after it.
    #[must_use]
    pub fn new(pipeline: Pipeline, service: &'static str, instance: &str) -> Self {
        let attributes = vec![
            Attribute::new("service.name", service),
            Attribute::new("service.version", env!("CARGO_PKG_VERSION")),
            Attribute::new("service.instance.id", instance.to_owned()),
            Attribute::new("process.pid", i64::from(std::process::id())),
            Attribute::new(CREATION_TIME, pipeline.started().to_string()),
        ];
        let scope_version = Text::from(env!("CARGO_PKG_VERSION"));
        let resource = Resource {
            attributes,
            scope_name: "hopline".into(),
            scope_version,
        };
        Self {
            pipeline,
            resource: Arc::new(resource),
            heads: None,
        }
    }

    /// The same, noting what the heads of its spans' traces said.
    #[must_use]
    pub fn noting(self, heads: Heads) -> Self {
        Self {
            heads: Some(heads),
            ..self
        }
    }

    /// The pipeline that the spans go to.
    #[must_use]
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// A span that begins at `start` as a child of where `parent` stands. The caller sets its end and
    /// hands it to [`Tracer::record`]; whether the trace is recorded at all is the caller's to ask first
    /// ([`TraceContext::is_recorded`]).
    #[must_use]
    pub fn begin(
        &self,
        hop: Hop,
        rest: impl Into<Text>,
        parent: &TraceContext,
        start: Timestamp,
    ) -> Span {
        if let Some(heads) = &self.heads {
            heads.note(parent.trace_id, &parent.baggage);
        }
        let trace_state = parent
            .trace_state
            .as_ref()
            .map_or(Text::EMPTY, |state| Text::Shared(Arc::clone(state)));
        Span {
            trace_id: parent.trace_id,
            span_id: ids::new_span_id(),
            parent_id: Some(parent.span_id),
            name: hop.named(rest),
            op: Text::Static(hop.op()),
            kind: hop.kind(),
            start,
            end: start,
            status: SpanStatus::Unset,
            pending: false,
            event: None,
            attributes: Vec::new(),
            links: Links::None,
            events: Vec::new(),
            trace_state,
            resource: Arc::clone(&self.resource),
        }
    }

    /// Like [`Tracer::begin`], for a hop of an event.
    #[must_use]
    pub fn begin_event(
        &self,
        hop: Hop,
        rest: impl Into<Text>,
        parent: &TraceContext,
        start: Timestamp,
        event: EventKeys,
    ) -> Span {
        Span {
            event: Some(event),
            ..self.begin(hop, rest, parent, start)
        }
    }

    /// The head span of the new trace `head`: it has no parent, and the id that `head` already passes on.
    #[must_use]
    pub fn begin_head(
        &self,
        hop: Hop,
        rest: impl Into<Text>,
        head: &TraceContext,
        start: Timestamp,
    ) -> Span {
        Span {
            span_id: head.span_id,
            parent_id: None,
            ..self.begin(hop, rest, head, start)
        }
    }

    /// Takes a finished span.
    pub fn record(&self, span: Span) {
        self.pipeline.record(span);
    }

    /// Takes many finished spans at the price of one.
    pub fn record_all(&self, spans: impl IntoIterator<Item = Span>) {
        self.pipeline.record_all(spans);
    }

    /// Keeps `span` open until the returned guard ends it, and shows it unfinished if that takes long.
    #[must_use]
    pub fn open(&self, span: Span) -> OpenSpan {
        let id = span.span_id;
        self.pipeline.watch(span);
        OpenSpan {
            pipeline: self.pipeline.clone(),
            id,
        }
    }
}

/// A span that lasts. Dropped without an end, it ends as failed: `abandoned`.
pub struct OpenSpan {
    pipeline: Pipeline,
    id: SpanId,
}

impl OpenSpan {
    /// The span's id: what its children name as their parent.
    #[must_use]
    pub const fn id(&self) -> SpanId {
        self.id
    }

    /// Sets an attribute, in place of one of the same key.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.pipeline
            .open_spans()
            .update(self.id, |span| set(span, key, value));
    }

    /// Adds a link.
    pub fn link(&self, link: Link) {
        self.pipeline.open_spans().update(self.id, |span| {
            let mut links: Vec<_> = span.links.iter(span.trace_id).collect();
            links.push(link);
            span.links = Links::Any(links);
        });
    }

    /// Marks the span as failed: status, `error.type`, and the exception as a span event.
    pub fn fail(&self, error_type: impl Into<Text>, message: impl Into<Text>) {
        self.pipeline.open_spans().update(self.id, |span| {
            fail(span, error_type, message, Timestamp::now())
        });
    }

    /// Ends the span now.
    pub fn end(self) {
        self.end_at(Timestamp::now());
    }

    /// Ends the span at `end`.
    pub fn end_at(self, end: Timestamp) {
        self.finish(end);
    }

    fn finish(&self, end: Timestamp) -> bool {
        let Some(mut span) = self.pipeline.open_spans().remove(self.id) else {
            return false;
        };
        span.end = end;
        self.pipeline.record(span);
        true
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        let now = Timestamp::now();
        // After an end the span is no longer among the open ones, and nothing happens here.
        self.pipeline.open_spans().update(self.id, |span| {
            fail(span, "abandoned", "the work was given up", now)
        });
        self.finish(now);
    }
}

/// Sets an attribute, in place of one of the same key.
pub fn set(span: &mut Span, key: &'static str, value: impl Into<Value>) {
    let value = value.into();
    match span
        .attributes
        .iter_mut()
        .find(|attribute| &*attribute.key == key)
    {
        Some(there) => there.value = value,
        None => span.attributes.push(Attribute::new(key, value)),
    }
}

/// Marks a span as failed: status, `error.type`, and the exception as a span event.
pub fn fail(span: &mut Span, error_type: impl Into<Text>, message: impl Into<Text>, at: Timestamp) {
    let (error_type, message) = (error_type.into(), message.into());
    set(span, keys::ERROR_TYPE, error_type.clone());
    span.events.push(SpanEvent {
        at,
        name: keys::EXCEPTION.into(),
        attributes: vec![
            Attribute::new(keys::EXCEPTION_TYPE, error_type),
            Attribute::new(keys::EXCEPTION_MESSAGE, message.clone()),
        ],
    });
    span.status = SpanStatus::Error(message);
}

/// Notes another attempt within a span.
pub fn retried(span: &mut Span, attempt: u32, error_type: impl Into<Text>, at: Timestamp) {
    span.events.push(SpanEvent {
        at,
        name: keys::RETRY.into(),
        attributes: vec![
            Attribute::new(keys::ATTEMPT, i64::from(attempt)),
            Attribute::new(keys::ERROR_TYPE, error_type.into()),
        ],
    });
}

/// Notes that `nanos` of a span were spent waiting.
pub fn waited(span: &mut Span, nanos: u64) {
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of waiting need no 53 bits"
    )]
    let millis = nanos as f64 / 1e6;
    set(span, keys::QUEUE_WAIT_MS, millis);
}
