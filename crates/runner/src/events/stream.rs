//! What all events of one command share, prepared once: ids, trace, and the JSON that repeats.

use std::sync::Arc;

use hopline_telemetry::contract::TracedEvents;
use hopline_telemetry::tracer::waited;
use hopline_telemetry::{Head, Hop, Sampler, TraceContext, Tracer, ids};
use hopline_wire::carrier::CarrierRef;
use hopline_wire::event::{EventType, Tracing, write_string};
use hopline_wire::span::{EventKeys, Span, Text};
use hopline_wire::{Carrier, SpanId, Timestamp};

use super::Stamp;
use crate::outbox::CommandHead;

/// How each type of event takes part in its trace, looked up once.
#[derive(Clone, Copy)]
pub(crate) struct TracingTable([Tracing; EventType::ALL.len()]);

impl TracingTable {
    pub(crate) fn new(traced: &TracedEvents) -> Self {
        Self(EventType::ALL.map(|kind| traced.of(kind.as_str())))
    }

    fn of(&self, kind: EventType) -> Tracing {
        // `ALL` lists the types in the order of their numbers, which a test holds.
        self.0[kind as usize]
    }
}

/// The span that an event's way begins with, while the event waits to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventSpan {
    pub(crate) id: SpanId,
    pub(crate) parent: SpanId,
    pub(crate) made: Timestamp,
}

/// How a command began: what its `handleCommand` span is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The command's type.
    pub(crate) kind: String,
    /// The span's parent; none if it is its trace's head.
    pub(crate) parent: Option<SpanId>,
    /// When the command was received.
    pub(crate) received: Timestamp,
}

/// The events of one command.
pub(crate) struct Stream {
    pub(crate) command_id: Arc<str>,
    pub(crate) project_id: Text,
    /// It stands at the command's span.
    pub(crate) context: TraceContext,
    pub(crate) origin: Origin,
    tracing: TracingTable,
    /// `,"commandId":…,"projectId":…,"timestamp":"`
    head: Vec<u8>,
    /// `,"_sentry":{"trace":"<trace id>-`
    carrier_head: Vec<u8>,
    /// The sampled flag, the end of the text, and `,"baggage":…}`
    carrier_tail: Vec<u8>,
}

impl Stream {
    /// The events of `command_id`, whose trace stands at `context`.
    pub(crate) fn new(
        command_id: &str,
        project_id: Option<&str>,
        context: TraceContext,
        origin: Origin,
        tracing: TracingTable,
    ) -> Self {
        let mut head = b",\"commandId\":".to_vec();
        write_string(command_id, &mut head);
        if let Some(project_id) = project_id {
            head.extend_from_slice(b",\"projectId\":");
            write_string(project_id, &mut head);
        }
        head.extend_from_slice(b",\"timestamp\":\"");
        let mut carrier_head = b",\"_sentry\":{\"trace\":\"".to_vec();
        context.trace_id.write_hex(&mut carrier_head);
        carrier_head.push(b'-');
        let mut carrier_tail = match context.sampled {
            Some(true) => b"-1\"".to_vec(),
            Some(false) => b"-0\"".to_vec(),
            None => b"\"".to_vec(),
        };
        if let Some(baggage) = context.baggage.as_str() {
            carrier_tail.extend_from_slice(b",\"baggage\":");
            write_string(baggage, &mut carrier_tail);
        }
        carrier_tail.push(b'}');
        Self {
            command_id: command_id.into(),
            project_id: project_id.map_or(Text::EMPTY, |id| Text::from(id.to_owned())),
            context,
            origin,
            tracing,
            head,
            carrier_head,
            carrier_tail,
        }
    }

    /// What of the command a later process needs, should this one die.
    pub(crate) fn head(&self) -> CommandHead {
        CommandHead {
            id: self.command_id.to_string(),
            kind: self.origin.kind.clone(),
            project_id: (!self.project_id.is_empty()).then(|| self.project_id.to_string()),
            carrier: Carrier {
                trace: self.context.sentry_trace().to_string(),
                baggage: self.context.baggage.as_str().map(str::to_owned),
            },
            parent: self.origin.parent,
            received: self.origin.received.as_nanos(),
        }
    }

    /// The events of a command that an earlier process began. A trace that cannot be read any more starts anew.
    pub(crate) fn of_head(head: &CommandHead, tracing: TracingTable, sampler: &Sampler) -> Self {
        let carrier = CarrierRef {
            trace: head.carrier.trace.as_str().into(),
            baggage: head.carrier.baggage.as_deref().map(Into::into),
        };
        let context = TraceContext::from_carrier(&carrier, &mut Default::default());
        let context = context.unwrap_or_else(|_| {
            TraceContext::new_trace(sampler, &Head::default(), &head.kind, None)
        });
        let origin = Origin {
            kind: head.kind.clone(),
            parent: head.parent,
            received: Timestamp::from_nanos(head.received),
        };
        let project_id = head.project_id.as_deref();
        Self::new(&head.id, project_id, context, origin, tracing)
    }

    /// Writes an event up to where its own members begin (a comma and the members, or at once the closing brace,
    /// are to follow), and says which span its way begins with, if any.
    pub(crate) fn write_head(
        &self,
        kind: EventType,
        seq: u64,
        cause: SpanId,
        made: Timestamp,
        stamp: &mut Stamp,
        out: &mut Vec<u8>,
    ) -> Option<EventSpan> {
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(kind.as_str().as_bytes());
        out.push(b'"');
        out.extend_from_slice(&self.head);
        out.extend_from_slice(stamp.at(made).as_bytes());
        out.extend_from_slice(SEQ_MEMBER);
        write_number(seq, out);
        let tracing = self.tracing.of(kind);
        let span = (tracing == Tracing::Traced && self.context.is_recorded()).then(|| EventSpan {
            id: ids::new_span_id(),
            parent: cause,
            made,
        });
        if tracing != Tracing::Never {
            out.extend_from_slice(&self.carrier_head);
            span.map_or(cause, |span| span.id).write_hex(out);
            out.extend_from_slice(&self.carrier_tail);
        }
        span
    }

    /// The event's `runner.sendEvent` span; `taken` is when the event's waiting ended.
    pub(crate) fn span(
        &self,
        tracer: &Tracer,
        kind: EventType,
        seq: u64,
        event: &EventSpan,
        taken: Timestamp,
    ) -> Span {
        let keys = EventKeys {
            event_type: Text::Static(kind.as_str()),
            project_id: self.project_id.clone(),
            command_id: Text::Shared(Arc::clone(&self.command_id)),
            seq,
            session_id: Text::EMPTY,
        };
        let rest = Text::Static(kind.as_str());
        let mut span = tracer.begin_event(Hop::SendEvent, rest, &self.context, event.made, keys);
        span.span_id = event.id;
        span.parent_id = Some(event.parent);
        waited(&mut span, taken.nanos_since(event.made));
        span
    }
}

/// What stands between an event's time and its number.
const SEQ_MEMBER: &[u8] = b"\",\"seq\":";

fn write_number(number: u64, out: &mut Vec<u8>) {
    use std::io::Write as _;
    // Writing into memory cannot fail.
    let _ = write!(out, "{number}");
}

/// The event without its number, for a link that knows none: where the member begins and ends. The body is one that
/// [`Stream::write_head`] began.
pub(crate) fn seq_member(body: &[u8]) -> Option<std::ops::Range<usize>> {
    // A quote inside a text is escaped, so these bytes stand nowhere else before the member itself.
    let start = memchr::memmem::find(body, SEQ_MEMBER)? + 1;
    let digits = start + SEQ_MEMBER.len() - 1;
    let length = body[digits..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    Some(start..digits + length)
}

#[cfg(test)]
mod tests {
    use hopline_telemetry::{Head, Sampler};
    use hopline_wire::event::Envelope;

    use super::*;

    fn context(rate: f64) -> TraceContext {
        TraceContext::new_trace(&Sampler::new(rate), &Head::default(), "x", None)
    }

    fn stream(context: TraceContext) -> Stream {
        let tracing = TracingTable::new(&TracedEvents::default());
        let origin = Origin {
            kind: "start-build".into(),
            parent: Some(ids::new_span_id()),
            received: Timestamp::from_millis(1),
        };
        Stream::new("c\"1", Some("p"), context, origin, tracing)
    }

    fn written(stream: &Stream, kind: EventType, cause: SpanId) -> (Vec<u8>, Option<EventSpan>) {
        let mut out = Vec::new();
        let at = Timestamp::from_millis(1);
        let span = stream.write_head(kind, 7, cause, at, &mut Stamp::default(), &mut out);
        out.push(b'}');
        (out, span)
    }

    #[test]
    fn types_stand_in_the_table_under_their_numbers() {
        for (index, kind) in EventType::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }

    #[test]
    fn the_head_is_the_envelope_that_every_part_writes() {
        let context = context(1.0);
        let stream = stream(context.clone());
        let cause = ids::new_span_id();
        for kind in EventType::ALL {
            let (body, span) = written(&stream, kind, cause);
            let carrier_span = span.map_or(cause, |span| span.id);
            let trace = context.child(carrier_span).sentry_trace().to_string();
            let carrier = (kind.tracing() != Tracing::Never)
                .then(|| (trace.as_str(), context.baggage.as_str()));
            let mut expected = Vec::new();
            let envelope = Envelope {
                kind: kind.as_str(),
                command_id: Some("c\"1"),
                project_id: Some("p"),
                timestamp: "1970-01-01T00:00:00.001Z",
                seq: Some(7),
                carrier,
            };
            envelope.write("", &mut expected);
            assert_eq!(
                String::from_utf8(body).unwrap(),
                String::from_utf8(expected).unwrap()
            );
            assert_eq!(
                span.is_some(),
                kind.tracing() == Tracing::Traced,
                "{kind:?}"
            );
        }
    }

    #[test]
    fn a_trace_that_is_not_recorded_is_passed_on_unchanged() {
        let context = context(0.0);
        let stream = stream(context.clone());
        let (body, span) = written(&stream, EventType::BuildStream, context.span_id);
        assert_eq!(span, None);
        let mut carrier = b"\"_sentry\":".to_vec();
        context.write_carrier(&mut carrier);
        assert!(memchr::memmem::find(&body, &carrier).is_some());
    }

    #[test]
    fn a_later_process_writes_the_same_events() {
        for rate in [0.0, 1.0] {
            let earlier = stream(context(rate));
            let head = serde_json::to_string(&earlier.head()).unwrap();
            let tracing = TracingTable::new(&TracedEvents::default());
            let head = serde_json::from_str(&head).unwrap();
            let later = Stream::of_head(&head, tracing, &Sampler::new(0.5));
            let cause = ids::new_span_id();
            // An acknowledgement has no span of its own, and so nothing that differs.
            let ack = |stream| written(stream, EventType::LogChunk, cause);
            assert_eq!(ack(&earlier), ack(&later));
            assert_eq!(later.head(), earlier.head());
            assert_eq!(later.context.is_recorded(), rate == 1.0);
        }
    }

    #[test]
    fn the_number_can_be_left_out() {
        let stream = stream(context(1.0));
        let (mut body, _) = written(&stream, EventType::Ack, ids::new_span_id());
        body.drain(seq_member(&body).unwrap());
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"type":"ack","commandId":"c\"1","projectId":"p","timestamp":"1970-01-01T00:00:00.001Z"})
        );
    }
}
