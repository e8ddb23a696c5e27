//! The way of a build's events through their hops: which events miss a hop, and where the time went.
//!
//! Pure arithmetic over the spans of one trace. Times are nanoseconds. Where a runner has said how far its clock is from
//! its broker's, its spans are told by the broker's ([`Clock`]); else what is said between hops of two machines is as good as
//! their clocks agree.
//!
//! A hop's *own* time is its length less what its children and the statements that served it cover of it:
//! forwarding encloses processing, which encloses persisting. Of the own time, what the hop said it spent
//! in queues is *waiting*; the rest is *work*.

use std::collections::{HashMap, HashSet};

use hopline_wire::span::{Links, Span, Value};
use hopline_wire::{SpanId, Timestamp, ops};
use serde::Serialize;

use crate::overview::Facts;
pub(crate) use arrivals::Journeys;
pub use arrivals::{Arrivals, Gap, Missing, TOLD_GAPS};
pub use clocks::Clock;
pub(crate) use clocks::{Offsets, corrected};
pub use makers::Reason;

use clocks::Clocks;

mod arrivals;
mod clocks;
mod makers;

#[cfg(test)]
mod tests;

/// The attribute in which a hop says how long it waited, in milliseconds.
const WAIT_MS: &str = "hopline.queue.wait_ms";

/// The ops whose time is told, in the order of an event's way.
const TOLD_OPS: [&str; 8] = [
    ops::EVENT_SEND,
    ops::EVENT_FORWARD,
    ops::EVENT_PROCESS,
    ops::PERSIST_EVENT,
    ops::PERSIST_FINALIZE,
    ops::DB_QUERY,
    ops::STATE_REFRESH,
    ops::BROADCAST,
];

/// What a trace says of its events' way.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Path {
    /// How many spans the trace has.
    pub total: u64,
    /// Of how many of them the hops' times are told: of all, or of the part that was read.
    pub spans: u64,
    /// Which of the trace's events went all the way.
    #[serde(flatten)]
    pub arrivals: Arrivals,
    /// Each hop's time, in the order of an event's way; those that are there.
    pub hops: Vec<HopTimes>,
    /// The clocks that were off, and are corrected in these times.
    pub clocks: Vec<Clock>,
    /// How many spans name a parent that is not there. Known only where all spans were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken_parent_count: Option<u64>,
    /// The first of them, at most [`TOLD_GAPS`].
    pub broken_parents: Vec<BrokenParent>,
}

/// A span whose parent is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokenParent {
    /// The span.
    pub span_id: SpanId,
    /// Its name.
    pub name: String,
    /// Who made it (`service.name`).
    pub service: String,
    /// The parent that it names.
    pub parent_id: SpanId,
}

/// The spans whose parents are not among these.
fn broken_parents(spans: &[Span]) -> (u64, Vec<BrokenParent>) {
    let there: HashSet<SpanId> = spans.iter().map(|span| span.span_id).collect();
    // The request of a trace that goes on from a caller's has its parent there.
    let has_root = spans.iter().any(|span| span.parent_id.is_none());
    let requests = spans.iter().filter(|span| &*span.op == ops::HTTP_SERVER);
    let first = requests.min_by_key(|span| span.start).filter(|_| !has_root);
    let first = first.map(|span| span.span_id);
    let mut count = 0;
    let mut told = Vec::new();
    for span in spans {
        let Some(parent_id) = span.parent_id.filter(|parent| !there.contains(parent)) else {
            continue;
        };
        if Some(span.span_id) == first {
            continue;
        }
        count += 1;
        if told.len() < TOLD_GAPS {
            told.push(BrokenParent {
                span_id: span.span_id,
                name: span.name.to_string(),
                service: span.resource.service().to_string(),
                parent_id,
            });
        }
    }
    (count, told)
}

/// One hop's time in a trace.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HopTimes {
    /// Its op.
    pub op: &'static str,
    /// How many spans of it there are.
    pub count: u64,
    /// How many of them failed.
    pub errors: u64,
    /// How many of them have not finished. Their time is not known, and not counted.
    pub pending: u64,
    /// The spans' lengths.
    pub duration: Times,
    /// What the spans' own time comes to.
    pub own_nanos: u64,
    /// How much of that was spent in queues.
    pub waiting_nanos: u64,
    /// The rest of it.
    pub working_nanos: u64,
    /// The hop's part of the own time of all hops, from 0 to 1.
    pub share: f64,
    /// How long after the hop before this one began: after that hop's end if it is the sending, else
    /// after its beginning. Nothing for hops that have none before them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reached_after: Option<Times>,
}

/// A distribution of times, in nanoseconds. Percentiles are values that occurred (nearest rank).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Times {
    /// All together.
    pub total_nanos: u64,
    /// Half of them are at most this.
    pub p50_nanos: u64,
    /// Nineteen of twenty are at most this.
    pub p95_nanos: u64,
    /// The longest.
    pub max_nanos: u64,
}

impl Times {
    fn of(mut nanos: Vec<u64>) -> Self {
        nanos.sort_unstable();
        let at = |percent: usize| {
            let rank = (nanos.len() * percent).div_ceil(100).max(1);
            nanos.get(rank - 1).copied().unwrap_or_default()
        };
        Self {
            total_nanos: nanos.iter().fold(0, |sum, one| sum.saturating_add(*one)),
            p50_nanos: at(50),
            p95_nanos: at(95),
            max_nanos: nanos.last().copied().unwrap_or_default(),
        }
    }
}

impl Path {
    /// Follows the events through a trace's spans, each of which comes once.
    #[must_use]
    pub fn of(spans: &[Span]) -> Self {
        let mut journeys = Journeys::default();
        for span in spans {
            journeys.add(&Facts::of(span));
        }
        Self::of_part(spans, spans.len() as u64, journeys.arrivals())
    }

    /// The same of a trace of which only a part was read: the arrivals must be known of the whole, since
    /// from a part one cannot tell a hop that is missing from one that was not read.
    #[must_use]
    pub fn of_part(spans: &[Span], total: u64, arrivals: Arrivals) -> Self {
        let clocks = Clocks::of(spans);
        let is_whole = spans.len() as u64 == total;
        let (broken, told) = match is_whole {
            true => broken_parents(spans),
            false => (0, Vec::new()),
        };
        Self {
            total,
            spans: spans.len() as u64,
            arrivals,
            hops: hop_times(spans, &clocks),
            clocks: clocks.corrected(),
            broken_parent_count: is_whole.then_some(broken),
            broken_parents: told,
        }
    }
}

/// What is gathered of one op.
#[derive(Default)]
struct Gathered {
    errors: u64,
    pending: u64,
    durations: Vec<u64>,
    own: u64,
    waiting: u64,
    reached: Vec<u64>,
}

fn hop_times(spans: &[Span], clocks: &Clocks) -> Vec<HopTimes> {
    let by_id: HashMap<SpanId, &Span> = spans.iter().map(|span| (span.span_id, span)).collect();
    let covered = covered_times(spans, &by_id, clocks);
    let mut gathered: [Gathered; TOLD_OPS.len()] = Default::default();
    for span in spans {
        let Some(told) = TOLD_OPS.iter().position(|op| **op == *span.op) else {
            continue;
        };
        let gathered = &mut gathered[told];
        if span.pending {
            gathered.pending += 1;
            continue;
        }
        let duration = span.duration_nanos();
        let covered = covered.get(&span.span_id).copied().unwrap_or_default();
        let own = duration.saturating_sub(covered);
        gathered.errors += u64::from(span.status.is_error());
        gathered.durations.push(duration);
        // Spans of others may have any times at all.
        gathered.own = gathered.own.saturating_add(own);
        gathered.waiting = gathered.waiting.saturating_add(waiting(span).min(own));
        gathered.reached.extend(reached_after(span, &by_id, clocks));
    }
    let own = gathered.iter().map(|gathered| gathered.own);
    let all = own.fold(0, u64::saturating_add);
    let told = TOLD_OPS.into_iter().zip(gathered);
    told.filter(|(_, gathered)| gathered.pending > 0 || !gathered.durations.is_empty())
        .map(|(op, gathered)| gathered.into_times(op, all))
        .collect()
}

impl Gathered {
    fn into_times(self, op: &'static str, all: u64) -> HopTimes {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a share of a thousandth is exact enough"
        )]
        let share = self.own as f64 / all.max(1) as f64;
        HopTimes {
            op,
            count: self.durations.len() as u64 + self.pending,
            errors: self.errors,
            pending: self.pending,
            duration: Times::of(self.durations),
            own_nanos: self.own,
            waiting_nanos: self.waiting,
            working_nanos: self.own - self.waiting,
            share,
            reached_after: (!self.reached.is_empty()).then(|| Times::of(self.reached)),
        }
    }
}

/// How much of each hop its children, and the statements that link it, cover.
fn covered_times(
    spans: &[Span],
    by_id: &HashMap<SpanId, &Span>,
    clocks: &Clocks,
) -> HashMap<SpanId, u64> {
    let mut intervals: HashMap<SpanId, Vec<(Timestamp, Timestamp)>> = HashMap::new();
    let mut cover = |id: SpanId, by: &Span| {
        let Some(hop) = by_id.get(&id).filter(|hop| TOLD_OPS.contains(&&*hop.op)) else {
            return;
        };
        let ((began, ended), (from, to)) = (clocks.times(by), clocks.times(hop));
        let (start, end) = (began.max(from), ended.min(to));
        if start < end {
            intervals.entry(id).or_default().push((start, end));
        }
    };
    for span in spans.iter().filter(|span| !span.pending) {
        if let Some(parent) = span.parent_id {
            cover(parent, span);
        }
        if let Links::SameTrace(ids) = &span.links {
            ids.iter().for_each(|id| cover(*id, span));
        } else {
            let links = span.links.iter(span.trace_id);
            let own = links.filter(|link| link.trace_id == span.trace_id);
            own.for_each(|link| cover(link.span_id, span));
        }
    }
    let united = intervals.into_iter().map(|(id, mut intervals)| {
        intervals.sort_unstable();
        let mut covered = 0;
        let mut until = Timestamp::default();
        for (start, end) in intervals {
            covered += end.nanos_since(start.max(until));
            until = until.max(end);
        }
        (id, covered)
    });
    united.collect()
}

fn waiting(span: &Span) -> u64 {
    let own = span.attributes.iter().find(|own| &*own.key == WAIT_MS);
    let millis = match own.map(|own| &own.value) {
        Some(Value::Double(millis)) => *millis,
        #[expect(clippy::cast_precision_loss, reason = "milliseconds are few")]
        Some(Value::Int(millis)) => *millis as f64,
        _ => return 0,
    };
    // Out of range, and no number at all, become the nearest there is.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, as it should"
    )]
    let nanos = (millis * 1e6).round() as u64;
    nanos
}

/// How long after its parent, the hop before it, a hop began.
fn reached_after(span: &Span, by_id: &HashMap<SpanId, &Span>, clocks: &Clocks) -> Option<u64> {
    let place = arrivals::hop_of(&span.op).filter(|place| *place > 0)?;
    let before = by_id.get(&span.parent_id?)?;
    if arrivals::hop_of(&before.op) != Some(place - 1) || before.pending {
        return None;
    }
    // Sending ends when the frame is written; the other hops last until those after them are done.
    let (start, end) = clocks.times(before);
    let from = if place == 1 { end } else { start };
    Some(clocks.times(span).0.nanos_since(from))
}
