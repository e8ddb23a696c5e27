//! The spans of one flush: `websocket.broadcast`, one for each trace that is shown in it.
//!
//! A flush begins when its text is written and ends when the last client's socket has taken it. Every
//! client's queue holds the flush until then; the last one to let go ends the spans. Its room shows it unfinished
//! if that takes long.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use hopline_processor::feed::Change;
use hopline_telemetry::contract::keys;
use hopline_telemetry::pending::{UNFINISHED_AFTER, unfinished};
use hopline_telemetry::{Hop, TraceContext, Tracer, tracer};
use hopline_wire::Timestamp;
use hopline_wire::span::{Links, Span};
use tokio::time::Instant;

/// One flush on its way to the clients.
pub(super) struct Flush {
    tracer: Tracer,
    spans: Vec<Span>,
    last_taken: AtomicU64,
}

impl Flush {
    /// Begins a flush of these changes to so many clients. Gives the trace of each change as the clients are to
    /// go on with it: one that is not recorded as it came.
    pub(super) fn begin(
        tracer: &Tracer,
        changes: &[Arc<Change>],
        clients: usize,
    ) -> (Self, Vec<TraceContext>) {
        let now = Timestamp::now();
        let mut spans: Vec<Span> = Vec::new();
        let mut contexts: Vec<TraceContext> = Vec::new();
        for trace in changes.iter().flat_map(|change| &change.traces) {
            if !trace.context.is_recorded() {
                contexts.push(trace.context.clone());
                continue;
            }
            let known = spans
                .iter_mut()
                .find(|span| span.trace_id == trace.context.trace_id);
            let span = match known {
                Some(span) => {
                    add_links(span, std::iter::once(trace.context.span_id));
                    if let Some(event) = &mut span.event {
                        event.keep_common(&trace.event);
                    }
                    span
                }
                None => {
                    let event = trace.event.clone();
                    let span = tracer.begin_event(Hop::Broadcast, "", &trace.context, now, event);
                    contexts.push(trace.context.child(span.span_id));
                    spans.push(span);
                    let last = spans.len() - 1;
                    &mut spans[last]
                }
            };
            add_links(span, trace.others.iter().copied());
        }
        let shared_by = i64::try_from(spans.len()).unwrap_or(i64::MAX);
        let clients = i64::try_from(clients).unwrap_or(i64::MAX);
        for span in &mut spans {
            tracer::set(span, keys::SHARED_BY, shared_by);
            tracer::set(span, keys::LIVE_CLIENTS, clients);
        }
        let flush = Self {
            tracer: tracer.clone(),
            spans,
            last_taken: AtomicU64::new(now.as_nanos()),
        };
        (flush, contexts)
    }

    /// One client's socket has taken it.
    pub(super) fn taken(&self) {
        self.last_taken
            .fetch_max(Timestamp::now().as_nanos(), Ordering::AcqRel);
    }
}

fn add_links(span: &mut Span, ids: impl Iterator<Item = hopline_wire::SpanId>) {
    let there = match &span.links {
        Links::SameTrace(ids) => ids.to_vec(),
        _ => Vec::new(),
    };
    let all: Vec<_> = there.into_iter().chain(ids).collect();
    if !all.is_empty() {
        span.links = Links::SameTrace(all.into());
    }
}

/// A room's flushes that may still be under way, the oldest first.
#[derive(Default)]
pub(super) struct OpenFlushes(VecDeque<(Instant, Weak<Flush>)>);

impl OpenFlushes {
    pub(super) fn add(&mut self, flush: &Arc<Flush>) {
        let is_over = |(_, flush): &(_, Weak<Flush>)| flush.strong_count() == 0;
        while self.0.front().is_some_and(is_over) {
            self.0.pop_front();
        }
        if !flush.spans.is_empty() {
            let due = Instant::now() + UNFINISHED_AFTER;
            self.0.push_back((due, Arc::downgrade(flush)));
        }
    }

    /// When to look for one that takes long.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.front().map(|(due, _)| *due)
    }

    /// Shows the spans unfinished of those that take long.
    pub(super) fn show(&mut self) {
        let now = Instant::now();
        while let Some((due, flush)) = self.0.front()
            && *due <= now
        {
            if let Some(flush) = flush.upgrade() {
                let spans = flush.spans.iter().map(unfinished);
                flush.tracer.record_all(spans);
            }
            self.0.pop_front();
        }
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let end = Timestamp::from_nanos(self.last_taken.load(Ordering::Acquire));
        let spans = std::mem::take(&mut self.spans);
        if spans.is_empty() {
            return;
        }
        self.tracer
            .record_all(spans.into_iter().map(|span| Span { end, ..span }));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hopline_processor::feed::ChangeTrace;
    use hopline_telemetry::{Head, Pipeline, Sampler};
    use hopline_wire::span::{EventKeys, SinkError, SpanSink, Value};
    use hopline_wire::{SpanId, TraceId};
    use parking_lot::Mutex;
    use uuid::Uuid;

    use super::*;
    use crate::live::hub::testing;

    #[derive(Default)]
    struct Kept(Mutex<Vec<Span>>);

    impl SpanSink for Kept {
        fn take(&self, spans: &[Span]) -> Result<(), SinkError> {
            self.0.lock().extend_from_slice(spans);
            Ok(())
        }
    }

    fn change(command: &'static str, seq: u64, context: &TraceContext) -> Arc<Change> {
        let own = context.child(span_id(seq));
        let trace = ChangeTrace {
            context: own,
            others: vec![span_id(seq + 100)],
            event: EventKeys {
                project_id: "p".into(),
                command_id: command.into(),
                ..EventKeys::default()
            },
        };
        Arc::new(Change {
            traces: vec![trace],
            ..testing::change(Uuid::nil(), seq, "x")
        })
    }

    fn span_id(number: u64) -> SpanId {
        SpanId::from_bytes(number.to_be_bytes()).unwrap()
    }

    /// A project's room may have the last of one build and the first of the next in one flush; so may a build whose
    /// events are of two traces.
    #[test]
    fn a_flush_of_two_traces_is_one_broadcast_on_each_with_equal_times() {
        let kept = Arc::new(Kept::default());
        let sink: Arc<dyn SpanSink> = Arc::<Kept>::clone(&kept);
        let (pipeline, _thread) = Pipeline::start(vec![sink], 1 << 20).unwrap();
        let tracer = Tracer::new(pipeline.clone(), "hopline-server", "test");
        let trace = || TraceContext::new_trace(&Sampler::new(1.0), &Head::default(), "x", None);
        let (one, two) = (trace(), trace());
        let changes = [
            change("a", 1, &one),
            change("a", 2, &one),
            change("b", 3, &two),
            change("c", 4, &two),
        ];
        let (flush, contexts) = Flush::begin(&tracer, &changes, 1);
        assert_eq!(contexts.len(), 2);
        flush.taken();
        drop(flush);
        assert!(pipeline.flush(std::time::Instant::now() + Duration::from_secs(20)));
        let spans = kept.0.lock().clone();
        assert_eq!(spans.len(), 2);
        let times = |span: &Span| (span.start, span.end);
        assert_eq!(times(&spans[0]), times(&spans[1]));
        let told = |span: &Span| -> (TraceId, Option<SpanId>, Vec<SpanId>) {
            let links = span.links.iter(span.trace_id).map(|link| link.span_id);
            (span.trace_id, span.parent_id, links.collect())
        };
        let expected = |trace: &TraceContext, [parent, links @ ..]: [u64; 4]| {
            let links = links.map(span_id).to_vec();
            (trace.trace_id, Some(span_id(parent)), links)
        };
        assert_eq!(told(&spans[0]), expected(&one, [1, 101, 2, 102]));
        assert_eq!(told(&spans[1]), expected(&two, [3, 103, 4, 104]));
        for (span, command) in spans.iter().zip([Some("a"), None]) {
            assert_eq!(span.attribute("hopline.shared_by"), Some(Value::Int(2)));
            assert_eq!(span.attribute("event.projectId"), Some("p".into()));
            assert_eq!(span.attribute("event.commandId"), command.map(Value::from));
        }
    }
}
