//! The spans of a request's events: `api.runner.events.<type>`, received to committed.

use axum::http::HeaderMap;
use hopline_processor::{Incoming, Settled, SubmitError};
use hopline_telemetry::context::BaggageCache;
use hopline_telemetry::{Hop, TraceContext, logs, tracer};
use hopline_wire::Timestamp;
use hopline_wire::event::Tracing;
use hopline_wire::span::{EventKeys, Span, Text};

use crate::app::App;
use crate::requests::caller_of;

/// The spans of one request, without their end.
pub(super) struct EventSpans {
    spans: Vec<Span>,
    /// The place of each one's event in the request.
    places: Vec<usize>,
}

impl EventSpans {
    /// Begins the spans of the traced events and hands each event where its trace goes on.
    pub(super) fn begin(
        app: &App,
        headers: &HeaderMap,
        is_array: bool,
        events: &mut [Incoming],
    ) -> Self {
        let header = if is_array {
            None
        } else {
            caller_of(app, headers)
        };
        let mut cache = BaggageCache::default();
        let mut spans = Vec::with_capacity(events.len());
        let mut places = Vec::with_capacity(events.len());
        for (place, event) in events.iter_mut().enumerate() {
            if app.options.traced_events.of(event.kind()) != Tracing::Traced {
                // Nothing goes on from it here, but a malformed carrier is counted on whatever it comes.
                let _ = carried(app, event, &mut cache);
                continue;
            }
            let parent = header
                .clone()
                .or_else(|| carried(app, event, &mut cache))
                .map(|parent| parent.decided(&app.options.sampler));
            let span = match parent {
                // Nobody makes a span; live clients get the carrier as it came.
                Some(parent) if !parent.is_recorded() => {
                    event.trace = Some(parent);
                    continue;
                }
                Some(parent) => {
                    let span = app.tracer.begin_event(
                        Hop::ProcessEvent,
                        event.kind().clone(),
                        &parent,
                        event.received,
                        keys(event),
                    );
                    event.trace = Some(parent.child(span.span_id));
                    span
                }
                // Without a usable carrier the event's trace begins here.
                None => {
                    let Some((head, span)) = new_trace(app, event) else {
                        continue;
                    };
                    event.trace = Some(head);
                    span
                }
            };
            spans.push(span);
            places.push(place);
        }
        Self { spans, places }
    }

    /// Notes that the request waited for room.
    pub(super) fn waited(&mut self, nanos: u64) {
        const WORTH_NOTING: u64 = 1_000_000;
        if nanos >= WORTH_NOTING {
            for span in &mut self.spans {
                tracer::waited(span, nanos);
            }
        }
    }

    /// The spans as they stand.
    pub(super) fn open(&self) -> Vec<Span> {
        self.spans.clone()
    }

    /// Their traces, for the log.
    pub(super) fn trace_ids(&self) -> Option<String> {
        logs::trace_ids(self.spans.iter().map(|span| span.trace_id))
    }

    /// Ends the spans with what became of their events.
    pub(super) fn finish(mut self, app: &App, settled: Result<&Settled, &SubmitError>) {
        if self.spans.is_empty() {
            return;
        }
        let end = Timestamp::now();
        match settled {
            Ok(settled) => self.tell(settled, end),
            Err(error) => {
                let error_type = match error {
                    SubmitError::Overloaded => "overloaded",
                    SubmitError::Unavailable(_) => "database_unavailable",
                    SubmitError::Stopping => "stopping",
                };
                for span in &mut self.spans {
                    tracer::fail(span, error_type, error.to_string(), end);
                }
            }
        }
        app.tracer
            .record_all(self.spans.into_iter().map(|span| Span { end, ..span }));
    }

    /// Tells the spans what became of their events, and the numbers of those that came without one.
    fn tell(&mut self, settled: &Settled, end: Timestamp) {
        for (span, place) in self.spans.iter_mut().zip(&self.places) {
            if let Some((keys, seq)) = span.event.as_mut().zip(settled.number(*place)) {
                keys.seq = seq;
            }
            if let Some(rejection) = settled.rejection(*place) {
                tracer::fail(span, rejection.code.as_str(), rejection.error.clone(), end);
                continue;
            }
            let Some(keys) = &span.event else { continue };
            let expected = settled.reply.gaps.get(&*keys.command_id);
            if expected.is_some_and(|expected| keys.seq >= *expected) {
                tracer::fail(span, "gap", "events before this one are missing", end);
            }
        }
    }
}

fn carried(app: &App, event: &Incoming, cache: &mut BaggageCache) -> Option<TraceContext> {
    let carrier = event.carrier()?;
    let context = carrier.and_then(|carrier| TraceContext::from_carrier(&carrier, cache));
    if context.is_err() {
        app.counters.bad_carriers.inc();
    }
    context.ok()
}

fn new_trace(app: &App, event: &Incoming) -> Option<(TraceContext, Span)> {
    let options = &app.options;
    let name = Hop::ProcessEvent.named(event.kind().clone()).to_string();
    let head = TraceContext::new_trace(&options.sampler, &options.head, &name, None);
    if !head.is_recorded() {
        return None;
    }
    let mut span = app.tracer.begin_head(
        Hop::ProcessEvent,
        event.kind().clone(),
        &head,
        event.received,
    );
    span.event = Some(keys(event));
    Some((head, span))
}

fn keys(event: &Incoming) -> EventKeys {
    let text = |id: Option<&std::sync::Arc<str>>| {
        id.map_or(Text::EMPTY, |id| Text::Shared(std::sync::Arc::clone(id)))
    };
    EventKeys {
        event_type: event.kind().clone(),
        project_id: text(event.project_id()),
        command_id: text(event.command_id()),
        seq: event.seq().unwrap_or(0),
        session_id: Text::EMPTY,
    }
}
