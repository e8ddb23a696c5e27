//! New trace and span identifiers. Random is all they have to be: nothing is secret about them.

use hopline_wire::{SpanId, TraceId};
use rand::{Rng, RngExt};

/// A new trace identifier.
#[must_use]
pub fn new_trace_id() -> TraceId {
    let mut rng = rand::rng();
    loop {
        // All zeros is the one value that is no identifier.
        if let Some(id) = TraceId::from_bytes(rng.random()) {
            return id;
        }
    }
}

/// A new span identifier.
#[must_use]
pub fn new_span_id() -> SpanId {
    span_ids(&mut rand::rng())
}

/// New span identifiers, from one look at the thread's generator: for whole batches.
#[must_use]
pub fn new_span_ids(count: usize) -> Vec<SpanId> {
    let mut rng = rand::rng();
    (0..count).map(|_| span_ids(&mut rng)).collect()
}

fn span_ids(rng: &mut impl Rng) -> SpanId {
    loop {
        if let Some(id) = SpanId::from_bytes(rng.next_u64().to_ne_bytes()) {
            return id;
        }
    }
}
