//! Forwarding: one task that turns what waits in the hub into requests, several at a time, and the
//! answers into settled events, spans and second attempts.
//!
//! At low load an event leaves at once, alone. At high load requests take longer than events take to
//! come, so each carries all that gathered since the last: batches grow by themselves and nothing is
//! ever delayed to make one.

mod compose;
mod http;
mod judge;
mod reply;
mod spans;
mod transport;
mod upstream;

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hopline_telemetry::Tracer;
use hopline_telemetry::pending::{UNFINISHED_AFTER, unfinished, while_open};
use hopline_wire::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use http::{HttpTransport, bearer};
pub(crate) use transport::{Delivered, Transport};
use upstream::Allowance;
pub(crate) use upstream::{Peer, Upstream};

use crate::counters::Counters;
use crate::hub::{Fate, Hub, Judged, Part};

/// See the module.
pub(crate) struct Forwarder {
    pub(crate) hub: Arc<Hub>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) upstream: Arc<Mutex<Upstream>>,
    pub(crate) tracer: Tracer,
    pub(crate) counters: Counters,
}

/// A request and what came of it.
struct Post {
    parts: Vec<Part>,
    events: usize,
    single: bool,
    sent: Timestamp,
    delivered: Delivered,
}

impl Forwarder {
    /// Forwards until told to stop; requests under way are then given up.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut posts = FuturesUnordered::new();
        loop {
            let wake = loop {
                match self.next(posts.len()) {
                    Next::Post(parts, single) => posts.push(self.post(parts, single)),
                    Next::Wait(until) => break until,
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                Some(post) = posts.next() => self.conclude(post),
                () = self.hub.work.notified() => {}
                () = sleep_until(wake) => {}
            }
        }
        drop(posts);
        let at = Timestamp::now();
        let left = self.hub.abandon();
        let spans = left.iter().filter_map(|(command, held, fate)| {
            spans::ended(&self.tracer, command, held, fate, at, 1)
        });
        self.tracer.record_all(spans);
    }

    /// What to do next with `under_way` requests under way.
    fn next(&self, under_way: usize) -> Next {
        let now = Instant::now();
        let (limit, single) = match self.upstream.lock().allowance(under_way, now) {
            Allowance::Post { limit, single } => (limit, single),
            Allowance::NotBefore(at) => return Next::Wait(Some(at)),
            Allowance::Enough => return Next::Wait(None),
        };
        match self.hub.take(limit, Timestamp::now()) {
            Some(parts) => Next::Post(parts, single),
            None => Next::Wait(self.hub.next_wake()),
        }
    }

    async fn post(&self, parts: Vec<Part>, single: bool) -> Post {
        let events = parts.iter().map(|part| part.events.len()).sum();
        let delivery = compose::compose(&parts, single);
        let sent = Timestamp::now();
        let begun = Instant::now();
        let delivered = while_open(
            self.tracer.pipeline(),
            self.transport.deliver(delivery),
            || spans::of_parts(&self.tracer, &parts, events),
        )
        .await;
        self.counters.posted(begun.elapsed(), events);
        Post {
            parts,
            events,
            single,
            sent,
            delivered,
        }
    }

    fn conclude(&self, mut post: Post) {
        let at = Timestamp::now();
        let shown = u128::from(at.nanos_since(post.sent)) >= UNFINISHED_AFTER.as_nanos();
        let now = Instant::now();
        let with_events = post.parts.iter().any(|part| !part.command.is_empty());
        let (peer, pauses, taken, refused_for) = {
            let mut upstream = self.upstream.lock();
            post.delivered = upstream.believe(post.delivered);
            upstream.learn(&post.delivered, post.single, post.events, now);
            upstream.note_taken(&post.delivered, with_events);
            if let Some(error) = post.delivered.error() {
                self.counters.failed_posts.inc();
                let held = post.parts.iter().flat_map(|part| &part.events);
                let traces = held.filter_map(|held| held.trail.trace_id());
                upstream.failed(error, post.delivered.is_lasting(), now, traces);
            }
            (
                upstream.peer(),
                upstream.pauses(),
                upstream.taken(),
                upstream.refused_for(),
            )
        };
        let judge = judge::Judge {
            delivered: &post.delivered,
            single: post.single,
            alone: post.events == 1,
            peer,
            at,
            shown,
            pauses,
            taken,
            now,
            refused_for,
        };
        let mut judged: Vec<Judged> = post
            .parts
            .into_iter()
            .map(|part| judge.judge(part))
            .collect();
        self.count(&judged);
        self.hub.conclude(&mut judged);
        let spans = judged.iter().flat_map(|judged| {
            judged.finished.iter().filter_map(|(held, fate)| {
                spans::ended(&self.tracer, &judged.command, held, fate, at, post.events)
            })
        });
        self.tracer.record_all(spans);
    }

    fn count(&self, judged: &[Judged]) {
        for (held, fate) in judged.iter().flat_map(|judged| &judged.finished) {
            match fate {
                // The broker's own reports are no events of a runner's.
                Fate::Settled if held.origin.is_none() => {}
                Fate::Settled => match held.replaced {
                    Some(code) => self.counters.rejected(code),
                    None => {
                        self.counters.settled.inc();
                    }
                },
                Fate::Rejected { code, .. } => self.counters.rejected(code),
                Fate::SentAgain | Fate::Abandoned => {}
            }
        }
    }
}

/// Shows the spans of events that have waited in their lanes for long, unfinished.
pub(crate) fn show_waiting(hub: &Hub, tracer: &Tracer) {
    let mut spans = Vec::new();
    hub.show_waiting(|command, held| spans.extend(spans::open(tracer, command, held)));
    if !spans.is_empty() {
        tracer.record_all(spans.iter().map(unfinished));
    }
}

enum Next {
    Post(Vec<Part>, bool),
    /// Until this instant, if nothing else happens.
    Wait(Option<Instant>),
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
