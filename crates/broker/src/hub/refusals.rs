//! How often and for how long the server has refused the first event of a lane, and when that is hopeless.
//!
//! No event may block its command for ever, and none may be given up because the server is in trouble. So an event is
//! hopeless only if it was refused when it came alone, many times, over minutes, while the server took other
//! requests all along: those with events of other commands, or for much longer nothing but reports. A refusal counts
//! only if something was taken since the one before; a server that is down takes nothing.

use std::time::Duration;

use tokio::time::Instant;

/// After so many refusals of an event alone it may be hopeless.
const MOST_REFUSALS: u32 = 8;

/// How much longer it takes if the server takes only reports: they may need less of it than events do.
const REPORTS_COUNT_LESS: u32 = 15;

/// What the server has taken since the broker began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Requests that settled events of commands.
    pub(crate) with_events: u64,
    /// Requests, whatever they carried.
    pub(crate) requests: u64,
}

/// See the module. None are noted of a lane whose last request was taken.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Refusals {
    times: u32,
    since: Option<Instant>,
    beside_events: Count,
    beside_reports: Count,
}

/// Refusals between which the server took something else.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    times: u32,
    /// What the server had taken by the last of them.
    taken: u64,
}

impl Count {
    fn refused(&mut self, taken: u64) {
        if self.times == 0 || taken > self.taken {
            self.times = self.times.saturating_add(1);
            self.taken = taken;
        }
    }
}

impl Refusals {
    /// Notes that the lane's first event was refused alone.
    pub(crate) fn refused(&mut self, taken: Taken, now: Instant) {
        self.since.get_or_insert(now);
        self.times = self.times.saturating_add(1);
        self.beside_events.refused(taken.with_events);
        self.beside_reports.refused(taken.requests);
    }

    /// Whether the event has been refused many times, whatever became of others.
    pub(crate) fn are_many(&self) -> bool {
        self.times >= MOST_REFUSALS
    }

    /// Whether going on is hopeless.
    pub(crate) fn are_hopeless(&self, now: Instant, patience: Duration) -> bool {
        let lasted = self
            .since
            .map_or(Duration::ZERO, |at| now.duration_since(at));
        let many = |count: Count| count.times >= MOST_REFUSALS;
        (many(self.beside_events) && lasted >= patience)
            || (many(self.beside_reports) && lasted >= patience * REPORTS_COUNT_LESS)
    }

    /// Notes that the event was given up. Of the lane's next one, one refusal that counts is enough: it is the lane that is
    /// refused.
    pub(crate) fn given_up(&mut self) {
        self.times = 0;
        for count in [&mut self.beside_events, &mut self.beside_reports] {
            count.times = count.times.min(MOST_REFUSALS - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(120);

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    /// Refused so many times, while between two of them the server takes so much.
    fn refused(times: u64, events: u64, reports: u64, start: Instant) -> Refusals {
        let mut refusals = Refusals::default();
        for time in 0..times {
            let taken = Taken {
                with_events: time * events,
                requests: time * (events + reports),
            };
            refusals.refused(taken, start);
        }
        refusals
    }

    #[tokio::test]
    async fn an_event_is_hopeless_only_while_the_server_takes_others() {
        let start = Instant::now();
        let hopeless =
            |refusals: Refusals, seconds| refusals.are_hopeless(after(start, seconds), PATIENCE);
        assert!(!hopeless(refused(7, 1, 0, start), 9_999));
        assert!(!hopeless(refused(8, 1, 0, start), 119));
        assert!(hopeless(refused(8, 1, 0, start), 120));
        assert!(!hopeless(refused(8, 0, 1, start), 1_799));
        assert!(hopeless(refused(8, 0, 1, start), 1_800));
    }

    #[tokio::test]
    async fn a_server_that_took_something_and_is_down_since_makes_nothing_hopeless() {
        let start = Instant::now();
        let mut refusals = refused(3, 1, 1, start);
        let taken = Taken {
            with_events: 100,
            requests: 100,
        };
        for _ in 0..1_000 {
            refusals.refused(taken, start);
        }
        assert!(refusals.are_many());
        assert!(!refusals.are_hopeless(after(start, 99_999), PATIENCE));
    }

    #[tokio::test]
    async fn the_next_event_of_the_lane_needs_one_more_sign_that_others_are_taken() {
        let start = Instant::now();
        let mut refusals = refused(8, 1, 0, start);
        let late = after(start, 120);
        refusals.given_up();
        let mut taken = refusals.beside_events.taken;
        for more in 0..2 {
            taken += more;
            let taken = Taken {
                with_events: taken,
                requests: taken,
            };
            refusals.refused(taken, late);
            assert_eq!(refusals.are_hopeless(late, PATIENCE), more == 1);
        }
    }
}
