//! What the heads of traces said about their sampling (Sentry's dynamic sampling context), for whoever sends spans to
//! Sentry: it wants to hear it with the spans, which do not carry it themselves.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hopline_wire::TraceId;
use hopline_wire::baggage::{Baggage, SamplingContext};
use parking_lot::Mutex;

/// Of how many traces it is remembered; of the last ones.
const MOST: usize = 4_096;

/// The sampling contexts of the traces that spans were made of last. Cheap to clone.
#[derive(Clone, Default)]
pub struct Heads {
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    last: Option<TraceId>,
    by_trace: HashMap<TraceId, Baggage>,
    order: VecDeque<TraceId>,
}

impl Heads {
    /// Remembers a trace's. What its head said first stays.
    pub(crate) fn note(&self, trace_id: TraceId, baggage: &Baggage) {
        let mut known = self.known.lock();
        // Spans of one trace follow each other.
        if known.last == Some(trace_id) || baggage.sampling().is_none() {
            return;
        }
        known.last = Some(trace_id);
        if known.by_trace.contains_key(&trace_id) {
            return;
        }
        if known.order.len() >= MOST
            && let Some(oldest) = known.order.pop_front()
        {
            known.by_trace.remove(&oldest);
        }
        known.by_trace.insert(trace_id, baggage.clone());
        known.order.push_back(trace_id);
    }

    /// What the head of a trace said, if it is remembered.
    pub(crate) fn of(&self, trace_id: TraceId) -> Option<SamplingContext> {
        self.known
            .lock()
            .by_trace
            .get(&trace_id)?
            .sampling()
            .cloned()
    }
}
