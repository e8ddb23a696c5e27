//! What the broker knows of the server: whether it acknowledges, whether it can be asked just now, and
//! how much it takes at once.

use std::time::Duration;

use hopline_telemetry::logs;
use hopline_wire::span::Text;
use hopline_wire::{Timestamp, TraceId};
use rand::RngExt as _;
use tokio::time::Instant;

use super::transport::Delivered;
use crate::Options;
use crate::hub::{Take, Taken};

/// How often a lasting failure is logged.
const LOG_AGAIN: Duration = Duration::from_secs(60);

/// Whether the server acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// It has not answered yet: it is asked with a single event.
    Unknown,
    /// It does, and takes arrays.
    Acknowledges,
    /// It does not: the original's. It takes single events.
    Plain,
}

/// How long to wait after a failure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pauses {
    first: Duration,
    longest: Duration,
    slow: Duration,
}

impl Pauses {
    pub(crate) fn of(options: &Options) -> Self {
        Self {
            first: options.first_pause,
            longest: options.longest_pause,
            slow: options.slow_pause,
        }
    }

    /// The pause after the given number of failures in a row: growing, and scattered so that many
    /// brokers do not come back at once. A lasting failure is asked about rarely.
    pub(crate) fn after(self, failures: u32, lasting: bool) -> Duration {
        let (first, longest) = if lasting {
            (self.slow, self.slow * 6)
        } else {
            (self.first, self.longest)
        };
        let doublings = failures.saturating_sub(1).min(16);
        let pause = first.saturating_mul(1 << doublings).min(longest);
        pause.mul_f64(rand::rng().random_range(0.5..1.0))
    }
}

/// See the module.
pub(crate) struct Upstream {
    peer: Peer,
    failures: u32,
    not_before: Option<Instant>,
    /// How many events it takes at once, after it found more to be too large.
    events: usize,
    most: Take,
    posts: usize,
    single_posts: usize,
    pauses: Pauses,
    refused_for: Duration,
    /// Whether it took the last request.
    well: bool,
    taken: Taken,
    last_error: Option<(Text, Timestamp)>,
    /// When failures that pass by themselves were logged last, and those that do not.
    logged: [Option<Instant>; 2],
}

/// Whether another request may be sent.
#[derive(Debug)]
pub(super) enum Allowance {
    /// Yes, with so much in it, and as a single object or an array.
    Post { limit: Take, single: bool },
    /// Not before this instant.
    NotBefore(Instant),
    /// Not before one of those under way is answered.
    Enough,
}

impl Upstream {
    /// A server that has not been asked yet.
    pub(crate) fn new(options: &Options) -> Self {
        use hopline_wire::limits::{MAX_INGEST_BYTES, MAX_INGEST_EVENTS};
        let events = options.batch_events.clamp(1, MAX_INGEST_EVENTS);
        Self {
            peer: Peer::Unknown,
            failures: 0,
            not_before: None,
            events,
            most: Take {
                events,
                bytes: options.batch_bytes.min(MAX_INGEST_BYTES).saturating_sub(2),
            },
            posts: options.posts.max(1),
            single_posts: options.single_posts.max(1),
            pauses: Pauses::of(options),
            refused_for: options.refused_for,
            well: true,
            taken: Taken::default(),
            last_error: None,
            logged: [None; 2],
        }
    }

    /// Whether the server acknowledges.
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// Whether it took the last request.
    pub(crate) fn is_well(&self) -> bool {
        self.well
    }

    /// The class of the last failure and when it was.
    pub(crate) fn last_error(&self) -> Option<&(Text, Timestamp)> {
        self.last_error.as_ref()
    }

    pub(super) fn pauses(&self) -> Pauses {
        self.pauses
    }

    /// What it has taken so far.
    pub(super) fn taken(&self) -> Taken {
        self.taken
    }

    /// See [`Options::refused_for`].
    pub(super) fn refused_for(&self) -> Duration {
        self.refused_for
    }

    /// Counts a request that was taken; `with_events` says whether it had events of commands.
    pub(super) fn note_taken(&mut self, delivered: &Delivered, with_events: bool) {
        let settled = match delivered {
            Delivered::Judged(reply) => reply.applied,
            Delivered::Taken => true,
            _ => false,
        };
        self.taken.requests += u64::from(settled);
        self.taken.with_events += u64::from(settled && with_events);
    }

    /// Whether another request may be sent while `under_way` are.
    pub(super) fn allowance(&self, under_way: usize, now: Instant) -> Allowance {
        if let Some(at) = self.not_before.filter(|at| *at > now) {
            return Allowance::NotBefore(at);
        }
        let single = self.peer != Peer::Acknowledges;
        let most = match self.peer {
            // A server that is away or not known yet is asked by one request alone.
            _ if self.failures > 0 => 1,
            Peer::Unknown => 1,
            Peer::Acknowledges => self.posts,
            Peer::Plain => self.single_posts,
        };
        if under_way >= most {
            return Allowance::Enough;
        }
        let events = if single { 1 } else { self.events };
        Allowance::Post {
            limit: Take {
                events,
                ..self.most
            },
            single,
        }
    }

    /// What became of a request, as far as it can be believed. A server that has acknowledged goes on doing so:
    /// a bare success after that is someone else's, a proxy's say, and settles nothing. Whoever puts the
    /// original's server in the place of one that acknowledges restarts the broker.
    pub(super) fn believe(&self, delivered: Delivered) -> Delivered {
        match delivered {
            Delivered::Taken if self.peer == Peer::Acknowledges => Delivered::Failed {
                error: Text::Static("unacknowledged"),
                lasting: false,
            },
            other => other,
        }
    }

    /// Learns from what became of a request of so many events.
    pub(super) fn learn(
        &mut self,
        delivered: &Delivered,
        single: bool,
        events: usize,
        now: Instant,
    ) {
        self.well = delivered.error().is_none();
        match delivered {
            Delivered::Judged(_) => self.met(Peer::Acknowledges),
            Delivered::Taken => self.met(Peer::Plain),
            Delivered::TooLarge => {
                self.recovered();
                if !single {
                    self.events = (events / 2).max(1);
                }
                return;
            }
            Delivered::Unavailable { after, .. } => {
                self.failures = self.failures.saturating_add(1);
                // "At once" is no pause that a server in trouble can mean.
                let pause = after
                    .map(|after| after.max(self.pauses.first))
                    .unwrap_or_else(|| self.pauses.after(self.failures, false));
                self.not_before = Some(now + pause);
                return;
            }
            Delivered::Forbidden { .. } => {
                self.failures = self.failures.saturating_add(1);
                self.not_before = Some(now + self.pauses.after(self.failures, true));
                return;
            }
            Delivered::Failed { .. } => {
                // It answered, so others may fare better at once.
                self.recovered();
                return;
            }
        }
        self.recovered();
        self.events = (self.events * 2).min(self.most.events);
    }

    fn met(&mut self, peer: Peer) {
        if self.peer != peer {
            tracing::info!(
                acknowledges = peer == Peer::Acknowledges,
                "the server answers"
            );
            self.peer = peer;
        }
    }

    fn recovered(&mut self) {
        self.failures = 0;
        self.not_before = None;
    }

    /// Notes a failure, and logs it unless one of its kind was logged within the last minute. `traces` are those of the
    /// events that it concerned.
    pub(super) fn failed(
        &mut self,
        error: &Text,
        lasting: bool,
        now: Instant,
        traces: impl Iterator<Item = TraceId>,
    ) {
        self.last_error = Some((error.clone(), Timestamp::now()));
        let logged = &mut self.logged[usize::from(lasting)];
        if logged.is_some_and(|at| now.duration_since(at) < LOG_AGAIN) {
            return;
        }
        *logged = Some(now);
        let trace_id = logs::trace_ids(traces);
        if lasting {
            tracing::error!(trace_id, %error, "the server refuses events; they are kept and tried again");
        } else {
            tracing::warn!(trace_id, %error, "the server cannot take events; they are kept and tried again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopline_wire::secret::Secret;

    fn upstream() -> Upstream {
        let listen = ([127, 0, 0, 1], 0).into();
        Upstream::new(&Options::new(listen, "http://s", Secret::new("s")))
    }

    fn limit(upstream: &Upstream, under_way: usize) -> Option<(usize, bool)> {
        match upstream.allowance(under_way, Instant::now()) {
            Allowance::Post { limit, single } => Some((limit.events, single)),
            _ => None,
        }
    }

    #[tokio::test]
    async fn a_fresh_server_is_asked_with_one_event_and_an_acknowledging_one_with_many() {
        let mut upstream = upstream();
        assert_eq!(limit(&upstream, 0), Some((1, true)));
        assert_eq!(limit(&upstream, 1), None);
        let judged = Delivered::Judged(super::super::reply::Reply::default());
        upstream.learn(&judged, true, 1, Instant::now());
        assert_eq!(limit(&upstream, 3), Some((1_000, false)));
        upstream.learn(&Delivered::Taken, false, 9, Instant::now());
        assert_eq!(limit(&upstream, 31), Some((1, true)));
    }

    #[tokio::test]
    async fn a_batch_that_was_too_large_is_halved_and_grows_again() {
        let mut upstream = upstream();
        let judged = || Delivered::Judged(super::super::reply::Reply::default());
        upstream.learn(&judged(), true, 1, Instant::now());
        upstream.learn(&Delivered::TooLarge, false, 9, Instant::now());
        assert_eq!(limit(&upstream, 0), Some((4, false)));
        upstream.learn(&judged(), false, 4, Instant::now());
        assert_eq!(limit(&upstream, 0), Some((8, false)));
    }

    #[test]
    fn pauses_grow_to_their_limit_and_never_vanish() {
        let pauses = upstream().pauses;
        assert!(pauses.after(1, false) >= Duration::from_millis(50));
        assert!(pauses.after(40, false) <= Duration::from_secs(5));
        assert!(pauses.after(40, true) >= Duration::from_secs(15));
    }
}
