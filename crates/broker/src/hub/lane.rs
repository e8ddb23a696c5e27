//! One command's queue: what of it waits, what number comes next, how far it is settled.

use std::collections::VecDeque;
use std::sync::Arc;

use hopline_telemetry::TraceContext;
use hopline_telemetry::context::BaggageCache;
use hopline_wire::span::Text;
use tokio::time::{Duration, Instant};

use super::event::Held;
use super::refusals::Refusals;

/// How long the broker waits for a runner to act on `resend` before it asks again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The name of a lane in the hub.
pub(crate) type LaneId = u64;

/// One command's queue of one runner; or, without a command, what a runner says about itself.
pub(super) struct Lane {
    pub(super) runner: Arc<str>,
    pub(super) command: Option<Arc<str>>,
    pub(super) waiting: VecDeque<Held>,
    /// Whether a request with events of this lane is under way.
    pub(super) in_flight: bool,
    /// Whether the lane stands in the queue of those that are ready, or among those that pause.
    pub(super) listed: bool,
    /// The most events of its next request. With a bound it goes alone: after a failure that one of its events may be
    /// the cause of, no other lane shall suffer from it, and the event shall be found. Every request that is taken
    /// doubles the bound.
    pub(super) most: Option<usize>,
    /// How its first event was refused.
    pub(super) refusals: Refusals,
    /// The number that the next event must have; none takes any.
    pub(super) next: Option<u64>,
    /// All events up to this number are settled.
    pub(super) settled: u64,
    /// Whether its runner is told what is settled, and can send again.
    pub(super) acks: bool,
    resend_asked: Option<Instant>,
    /// The project of the last event, to share its text.
    project: Text,
    pub(super) baggage: BaggageCache,
    /// The trace that the broker began because events came without one.
    pub(super) own_trace: Option<TraceContext>,
    /// How many of those waiting have been looked at for being shown unfinished.
    pub(super) looked_at: usize,
    pub(super) last_used: Instant,
}

/// Where an event stands in its lane.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the end, where it belongs.
    Next,
    /// The lane had it before.
    Duplicate,
    /// Events are missing before it; ask for them, unless that was done just now.
    Gap { ask: Option<u64> },
}

impl Lane {
    pub(super) fn new(runner: Arc<str>, command: Option<Arc<str>>, now: Instant) -> Self {
        Self {
            runner,
            command,
            waiting: VecDeque::new(),
            in_flight: false,
            listed: false,
            most: None,
            refusals: Refusals::default(),
            next: None,
            settled: 0,
            acks: false,
            resend_asked: None,
            project: Text::EMPTY,
            baggage: BaggageCache::default(),
            own_trace: None,
            looked_at: 0,
            last_used: now,
        }
    }

    /// The lane's command as a text; empty if it has none.
    pub(super) fn command_text(&self) -> Text {
        self.command
            .as_ref()
            .map_or(Text::EMPTY, |command| Text::Shared(Arc::clone(command)))
    }

    /// Whether nothing of it is held.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.in_flight
    }

    /// Judges a numbered event of a runner that can send again, and moves on if it is the next.
    /// `from` is below `to` only for an event that stands for several.
    pub(super) fn place(&mut self, from: u64, to: u64, now: Instant) -> Place {
        let next = self.next.unwrap_or(from);
        if to < next {
            return Place::Duplicate;
        }
        if from > next {
            let asked_lately = self
                .resend_asked
                .is_some_and(|at| now.duration_since(at) < ASK_AGAIN);
            if !asked_lately {
                self.resend_asked = Some(now);
            }
            return Place::Gap {
                ask: (!asked_lately).then_some(next),
            };
        }
        self.resend_asked = None;
        self.next = Some(to + 1);
        Place::Next
    }

    /// Takes a runner's word for where it goes on. True if what it sends again is settled in part.
    pub(super) fn resume(&mut self, next_seq: u64) -> bool {
        self.acks = true;
        self.resend_asked = None;
        if self.next.is_none_or(|next| next < next_seq) {
            // All before it was acknowledged, be it by another broker.
            self.next = Some(next_seq);
            self.settled = self.settled.max(next_seq - 1);
        }
        self.settled >= next_seq
    }

    /// Expects `seq` again: the numbered events that wait come once more, and are given back.
    pub(super) fn go_back(&mut self, seq: u64, now: Instant) -> Vec<Held> {
        self.next = Some(seq);
        self.settled = seq.saturating_sub(1);
        self.resend_asked = Some(now);
        self.looked_at = 0;
        let (dropped, kept) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|held| held.seq.is_some());
        self.waiting = kept;
        Vec::from_iter::<VecDeque<Held>>(dropped)
    }

    /// The project as a shared text.
    pub(super) fn project(&mut self, project: Option<&str>) -> Text {
        let Some(project) = project else {
            return Text::EMPTY;
        };
        if *self.project != *project {
            self.project = Text::from(project.to_owned());
        }
        self.project.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane() -> Lane {
        Lane::new("r".into(), Some("c".into()), Instant::now())
    }

    #[tokio::test]
    async fn a_gap_is_asked_for_once_and_a_duplicate_known() {
        let mut lane = lane();
        lane.next = Some(1);
        let now = Instant::now();
        assert_eq!(lane.place(1, 1, now), Place::Next);
        assert_eq!(lane.place(3, 3, now), Place::Gap { ask: Some(2) });
        assert_eq!(lane.place(4, 4, now), Place::Gap { ask: None });
        assert_eq!(lane.place(1, 1, now), Place::Duplicate);
        assert_eq!(lane.place(2, 2, now), Place::Next);
        // Lost events stand for several numbers, some of which may have come.
        assert_eq!(lane.place(2, 6, now), Place::Next);
        assert_eq!(lane.next, Some(7));
    }

    #[tokio::test]
    async fn a_resumed_lane_keeps_what_it_holds_and_trusts_the_runner_for_the_rest() {
        let mut lane = lane();
        assert!(!lane.resume(5));
        assert_eq!((lane.next, lane.settled), (Some(5), 4));
        lane.next = Some(9);
        lane.settled = 6;
        assert!(lane.resume(5));
        assert_eq!((lane.next, lane.settled), (Some(9), 6));
        assert!(!lane.resume(12));
        assert_eq!((lane.next, lane.settled), (Some(12), 11));
    }
}
