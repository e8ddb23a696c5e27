//! Spans that stay open: shown unfinished after a second, so that a running build's tree can be watched.
//!
//! Long spans (a command, a build, a step) are registered when they begin; the pipeline's thread looks
//! for those that have come of age. Short ones, one per event, are not: whoever waits for their
//! end wraps the wait in [`while_open`], which costs nothing until it lasts.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use hopline_wire::SpanId;
use hopline_wire::span::Span;
use parking_lot::Mutex;

use crate::pipeline::Pipeline;

/// A span open for longer than this is exported unfinished.
pub const UNFINISHED_AFTER: Duration = Duration::from_secs(1);

/// The open spans that are expected to last.
#[derive(Default)]
pub struct OpenSpans {
    spans: Mutex<HashMap<SpanId, Open>>,
}

struct Open {
    since: Instant,
    shown: bool,
    span: Span,
}

impl OpenSpans {
    pub(crate) fn insert(&self, span: Span) {
        self.spans.lock().insert(
            span.span_id,
            Open {
                since: Instant::now(),
                shown: false,
                span,
            },
        );
    }

    pub(crate) fn update(&self, id: SpanId, change: impl FnOnce(&mut Span)) {
        if let Some(open) = self.spans.lock().get_mut(&id) {
            change(&mut open.span);
        }
    }

    pub(crate) fn remove(&self, id: SpanId) -> Option<Span> {
        self.spans.lock().remove(&id).map(|open| open.span)
    }

    /// The spans that have come of age and were not shown yet, as they stand.
    pub(crate) fn newly_unfinished(&self, now: Instant) -> Vec<Span> {
        let mut spans = self.spans.lock();
        let due = spans
            .values_mut()
            .filter(|open| !open.shown && now >= open.since + UNFINISHED_AFTER);
        due.map(|open| {
            open.shown = true;
            unfinished(&open.span)
        })
        .collect()
    }

    /// When the next span comes of age.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let spans = self.spans.lock();
        spans
            .values()
            .filter(|open| !open.shown)
            .map(|open| open.since + UNFINISHED_AFTER)
            .min()
    }

    /// Every open span as it stands: for the end of the process.
    pub(crate) fn all_unfinished(&self) -> Vec<Span> {
        self.spans
            .lock()
            .values()
            .map(|open| unfinished(&open.span))
            .collect()
    }
}

/// The span as it is exported while it is still open.
#[must_use]
pub fn unfinished(span: &Span) -> Span {
    Span {
        pending: true,
        end: span.start,
        ..span.clone()
    }
}

/// Awaits `work`; if it lasts longer than [`UNFINISHED_AFTER`], the spans that `open` then gives are
/// exported unfinished, once.
pub async fn while_open<T>(
    pipeline: &Pipeline,
    work: impl Future<Output = T>,
    open: impl FnOnce() -> Vec<Span>,
) -> T {
    let mut work = pin!(work);
    if let Ok(done) = tokio::time::timeout(UNFINISHED_AFTER, work.as_mut()).await {
        return done;
    }
    pipeline.record_all(open().iter().map(unfinished));
    work.await
}
