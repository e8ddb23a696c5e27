//! Spans that were lost: told of on their own trace by a span named [`DROPPED`], so that a hole in a trace is never
//! mistaken for a lost event, and logged once for each time that all is not well.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hopline_wire::span::{
    Attribute, DROPPED, Links, Resource, Span, SpanKind, SpanName, SpanStatus, Value,
};
use hopline_wire::{SpanId, Timestamp, TraceId};

use crate::contract::keys;
use crate::ids;

/// How many traces' drops are told of on the trace; drops of others are only counted.
const MAX_TRACES_TOLD: usize = 1_024;

/// How long nothing may be lost before all is well again: a queue that is full takes a small batch now and then.
const QUIET: Duration = Duration::from_secs(10);

/// The drops that nobody was told of yet, by trace.
pub(crate) struct Drops {
    reason: &'static str,
    by_trace: HashMap<TraceId, Dropped>,
}

struct Dropped {
    count: u64,
    parent_id: Option<SpanId>,
    resource: Arc<Resource>,
    at: Timestamp,
}

impl Drops {
    /// None so far; what there will be is told with this reason.
    pub(crate) fn new(reason: &'static str) -> Self {
        Self {
            reason,
            by_trace: HashMap::new(),
        }
    }

    /// Notes that a span was dropped. One that told of others is no loss itself: those are still to be told of.
    pub(crate) fn note(&mut self, span: &Span) {
        let told = (span.name == SpanName::from(DROPPED))
            .then(|| span.attribute(keys::DROPPED_SPANS))
            .flatten();
        let count = match told {
            Some(Value::Int(count)) => u64::try_from(count).unwrap_or(0),
            _ => 1,
        };
        self.add(span.trace_id, count, || Dropped {
            count: 0,
            parent_id: span.parent_id,
            resource: Arc::clone(&span.resource),
            at: span.start,
        });
    }

    /// These spans as dropped.
    pub(crate) fn of<'a>(reason: &'static str, spans: impl IntoIterator<Item = &'a Span>) -> Self {
        let mut drops = Self::new(reason);
        spans.into_iter().for_each(|span| drops.note(span));
        drops
    }

    /// Takes over what `other` knows of.
    pub(crate) fn merge(&mut self, other: Self) {
        for (trace_id, dropped) in other.by_trace {
            self.add(trace_id, dropped.count, || dropped);
        }
    }

    fn add(&mut self, trace_id: TraceId, count: u64, first: impl FnOnce() -> Dropped) {
        if let Some(dropped) = self.by_trace.get_mut(&trace_id) {
            dropped.count += count;
        } else if self.by_trace.len() < MAX_TRACES_TOLD {
            let dropped = Dropped { count, ..first() };
            self.by_trace.insert(trace_id, dropped);
        }
    }

    /// Whether all is told.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_trace.is_empty()
    }

    /// About how many bytes are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.by_trace.len() * size_of::<(TraceId, Dropped)>()
    }

    /// The spans that tell of it; after that, all is told.
    pub(crate) fn tell(&mut self) -> impl Iterator<Item = Span> {
        let reason = self.reason;
        self.by_trace
            .drain()
            .map(move |(trace_id, dropped)| dropped.into_span(trace_id, reason))
    }
}

impl Dropped {
    fn into_span(self, trace_id: TraceId, reason: &'static str) -> Span {
        let count = i64::try_from(self.count).unwrap_or(i64::MAX);
        Span {
            trace_id,
            span_id: ids::new_span_id(),
            parent_id: self.parent_id,
            name: DROPPED.into(),
            op: "".into(),
            kind: SpanKind::Internal,
            start: self.at,
            end: self.at,
            status: SpanStatus::Error(reason.into()),
            pending: false,
            event: None,
            attributes: vec![Attribute::new(keys::DROPPED_SPANS, count)],
            links: Links::None,
            events: Vec::new(),
            trace_state: "".into(),
            resource: self.resource,
        }
    }
}

/// Whether spans are being lost just now: for a log that says so once, and once that it is over.
#[derive(Default)]
pub(crate) struct Losing {
    spans: u64,
    last: Option<Instant>,
}

impl Losing {
    /// Notes a loss. True if all was well before.
    pub(crate) fn lost(&mut self, spans: u64, now: Instant) -> bool {
        self.spans += spans;
        self.last.replace(now).is_none()
    }

    /// Notes that spans were taken. Gives how many were lost, once it is over.
    pub(crate) fn taken(&mut self, now: Instant) -> Option<u64> {
        self.last
            .filter(|last| now.duration_since(*last) >= QUIET)?;
        self.last = None;
        Some(std::mem::take(&mut self.spans))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_said_once_and_its_end_once_with_the_sum() {
        let (mut losing, start) = (Losing::default(), Instant::now());
        assert_eq!(losing.taken(start), None);
        assert!(losing.lost(2, start));
        assert!(!losing.lost(3, start + QUIET / 2));
        assert_eq!(losing.taken(start + QUIET), None, "too soon to say");
        assert_eq!(losing.taken(start + QUIET * 2), Some(5));
        assert_eq!(losing.taken(start + QUIET * 3), None);
        assert!(losing.lost(1, start + QUIET * 3));
    }
}
