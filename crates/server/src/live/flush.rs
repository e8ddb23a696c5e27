//! The spans of one flush: `websocket.broadcast`, one for each trace that is shown in it.
//!
//! A flush begins when its text is written and ends when the last client's socket has taken it. Every
//! client's queue holds the flush until then; the last one to let go ends the spans.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hopline_processor::feed::Change;
use hopline_telemetry::contract::keys;
use hopline_telemetry::{Hop, TraceContext, Tracer, tracer};
use hopline_wire::Timestamp;
use hopline_wire::span::{Links, Span};

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
                    span
                }
                None => {
                    let span = tracer.begin(Hop::Broadcast, "", &trace.context, now);
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
