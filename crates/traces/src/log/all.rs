//! All spans: those that were taken over from the log, and those that are in it.

use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;

use hopline_wire::span::Span;
use hopline_wire::{SpanId, TraceId};

use super::LogStore;
use crate::store::{TraceStore as _, TracesError};

impl LogStore {
    /// See [`TraceStore::for_all`](crate::TraceStore::for_all).
    pub(super) fn visit_all(
        &self,
        visit: &mut dyn FnMut(&[Span]) -> ControlFlow<()>,
    ) -> Result<(), TracesError> {
        let older = self.shared.older.get();
        let mut covered = 0;
        if let Some(older) = older {
            match older.visit(0..=u64::MAX, visit)? {
                ControlFlow::Continue(last) => covered = last,
                ControlFlow::Break(()) => return Ok(()),
            }
        }
        let mut unfinished = HashSet::new();
        let listed = self.segments().into_iter().map(|segment| segment.number);
        let listed: Vec<_> = listed.filter(|number| *number > covered).collect();
        // What was taken over meanwhile was in neither: before the first, and those of which there is nothing any more.
        let first = listed.first().copied().unwrap_or(u64::MAX);
        let mut missed = (covered + 1 < first).then_some(covered + 1..=first - 1);
        for number in listed {
            let mut shown = ControlFlow::Continue(());
            let end = self.read_segment(number, 0, &mut |spans| {
                shown = show_finished(spans, &mut unfinished, visit);
                shown
            })?;
            if shown.is_break() {
                return Ok(());
            }
            if end == 0 {
                let from = missed.map_or(number, |missed| *missed.start().min(&number));
                missed = Some(from..=number);
            }
        }
        if let (Some(older), Some(missed)) = (older, missed)
            && older.visit(missed, visit)?.is_break()
        {
            return Ok(());
        }
        self.visit_unfinished(&unfinished, visit)
    }

    /// Those of these that are unfinished still, as a reading by trace finds them: an end may be anywhere.
    fn visit_unfinished(
        &self,
        unfinished: &HashSet<(TraceId, SpanId)>,
        visit: &mut dyn FnMut(&[Span]) -> ControlFlow<()>,
    ) -> Result<(), TracesError> {
        let traces: BTreeSet<_> = unfinished.iter().map(|(trace, _)| *trace).collect();
        for trace in traces {
            let mut shown = ControlFlow::Continue(());
            self.for_each(trace, &mut |part| {
                let pending = part.spans.iter().filter(|span| span.pending);
                let pending: Vec<_> = pending.cloned().collect();
                if !pending.is_empty() {
                    shown = visit(&pending);
                }
                shown
            })?;
            if shown.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Shows those that are finished, and notes of which no end has come.
fn show_finished(
    spans: &[Span],
    unfinished: &mut HashSet<(TraceId, SpanId)>,
    visit: &mut dyn FnMut(&[Span]) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut all_finished = true;
    for span in spans {
        let key = (span.trace_id, span.span_id);
        if span.pending {
            all_finished = false;
            unfinished.insert(key);
        } else if !unfinished.is_empty() {
            unfinished.remove(&key);
        }
    }
    if all_finished {
        return visit(spans);
    }
    let finished = spans.iter().filter(|span| !span.pending);
    visit(&finished.cloned().collect::<Vec<_>>())
}
