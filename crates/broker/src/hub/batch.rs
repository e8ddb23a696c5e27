//! Events out: what waits in many lanes becomes one request, and what its answer says comes back.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use hopline_wire::Timestamp;
use hopline_wire::span::Text;
use tokio::time::Instant;

use super::event::{Fate, Held, Trail};
use super::lane::LaneId;
use super::refusals::Refusals;
use super::{Hub, State};

/// How much one request may carry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Take {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

/// The events of one lane in a request.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) lane: LaneId,
    pub(crate) runner: Arc<str>,
    /// Empty if the events belong to no command.
    pub(crate) command: Text,
    /// Whether the runner can send events again.
    pub(crate) acks: bool,
    /// How many events it was allowed to have, if that is bounded.
    pub(crate) most: Option<usize>,
    /// How the lane's first event was refused before.
    pub(crate) refusals: Refusals,
    pub(crate) events: Vec<Held>,
}

/// What an answer means for the events of one lane.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) lane: LaneId,
    pub(crate) runner: Arc<str>,
    pub(crate) command: Text,
    /// Those whose stay has ended.
    pub(crate) finished: Vec<(Held, Fate)>,
    /// Those that wait again, in order.
    pub(crate) back: Vec<Held>,
    /// All events of the command up to this number are settled.
    pub(crate) settled: Option<u64>,
    /// The number that the server expects instead of what it got.
    pub(crate) gap: Option<u64>,
    /// How long the lane rests.
    pub(crate) pause: Option<Duration>,
    /// The most events of the lane's next request, which then carries this lane alone.
    pub(crate) most: Option<usize>,
    pub(crate) refusals: Refusals,
}

impl Hub {
    /// Takes events for one request; none if no lane is ready. Each lane gives its fair share.
    pub(crate) fn take(&self, limit: Take, at: Timestamp) -> Option<Vec<Part>> {
        let mut state = self.state.lock();
        state.wake(Instant::now());
        let share = (limit.events / state.ready.len().max(1)).max(1);
        let mut left = limit;
        let mut parts: Vec<Part> = Vec::new();
        let mut commands: HashSet<Arc<str>> = HashSet::new();
        let mut skipped = Vec::new();
        while left.events > 0
            && let Some(id) = state.ready.pop_front()
        {
            let Some(lane) = state.lanes.get_mut(&id) else {
                continue;
            };
            // An answer names commands, not runners: the same command of two runners goes separately.
            let named_already = lane
                .command
                .as_ref()
                .is_some_and(|command| commands.contains(command));
            if named_already || (lane.most.is_some() && !parts.is_empty()) {
                skipped.push(id);
                continue;
            }
            let most = share.min(left.events).min(lane.most.unwrap_or(usize::MAX));
            let events = lane.take(most, left.bytes, parts.is_empty(), at);
            if events.is_empty() {
                skipped.push(id);
                break;
            }
            left.events -= events.len();
            left.bytes = left
                .bytes
                .saturating_sub(events.iter().map(posted_bytes).sum());
            lane.in_flight = true;
            lane.listed = false;
            commands.extend(lane.command.clone());
            let alone = lane.most.is_some();
            parts.push(Part {
                lane: id,
                runner: Arc::clone(&lane.runner),
                command: lane.command_text(),
                acks: lane.acks,
                most: lane.most,
                refusals: lane.refusals,
                events,
            });
            if alone {
                break;
            }
        }
        for id in skipped.into_iter().rev() {
            state.ready.push_front(id);
        }
        (!parts.is_empty()).then_some(parts)
    }

    /// When the next of the lanes that rest is ready again.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let state = self.state.lock();
        state.pausing.iter().map(|(at, _)| *at).min()
    }

    /// Ends the stay of what is finished, puts the rest back, and tells runners what is settled or has
    /// to come again. Events that were waiting behind a gap are added to the finished ones.
    pub(crate) fn conclude(&self, judged: &mut [Judged]) {
        let now = Instant::now();
        let mut state = self.state.lock();
        for judged in &mut *judged {
            for (held, _) in &judged.finished {
                state.let_go(&judged.runner, held);
            }
            self.conclude_lane(&mut state, judged, now);
            state.forget_if_idle(judged.lane);
        }
        drop(state);
        self.room.notify_waiters();
    }

    fn conclude_lane(&self, state: &mut State, judged: &mut Judged, now: Instant) {
        let link = state
            .runners
            .get(&judged.runner)
            .and_then(|runner| runner.link.clone())
            .filter(|link| link.acks);
        let Some(lane) = state.lanes.get_mut(&judged.lane) else {
            return;
        };
        lane.in_flight = false;
        lane.most = judged.most;
        lane.refusals = judged.refusals;
        lane.looked_at = 0;
        state.retrying += judged.back.iter().filter(|held| held.attempts == 1).count() as u64;
        for held in judged.back.drain(..).rev() {
            lane.waiting.push_front(held);
        }
        if let Some(settled) = judged.settled.filter(|settled| *settled > lane.settled) {
            lane.settled = settled;
            if let (Some(link), Some(command)) = (&link, &lane.command) {
                link.outbox.ack(command, settled);
            }
        }
        let mut dropped = Vec::new();
        if let Some(expected) = judged.gap {
            let first = lane.waiting.iter().find_map(|held| held.seq);
            if lane.acks && first != Some(expected) {
                dropped = lane.go_back(expected, now);
                self.counters.out_of_order.inc_by(dropped.len() as u64);
                if let (Some(link), Some(command)) = (&link, &lane.command) {
                    link.outbox.resend(command, expected);
                }
            }
        }
        match judged.pause.filter(|_| !lane.waiting.is_empty()) {
            Some(pause) => {
                lane.listed = true;
                state.pausing.push((now + pause, judged.lane));
            }
            None => state.list(judged.lane),
        }
        for held in dropped {
            state.let_go(&judged.runner, &held);
            judged.finished.push((held, Fate::SentAgain));
        }
    }
}

impl super::lane::Lane {
    /// The first events that wait, as many as fit. The `first` of a request always does: if it is too large after
    /// all, the server's answer says so, while one that is never sent would hold everything up for ever.
    fn take(&mut self, events: usize, mut bytes: usize, first: bool, at: Timestamp) -> Vec<Held> {
        let mut taken = Vec::with_capacity(events.min(self.waiting.len()));
        while taken.len() < events
            && let Some(next) = self.waiting.front()
        {
            let size = posted_bytes(next);
            if size > bytes && !(first && taken.is_empty()) {
                break;
            }
            bytes = bytes.saturating_sub(size);
            let Some(mut held) = self.waiting.pop_front() else {
                break;
            };
            held.waited += at.nanos_since(held.waiting_since);
            taken.push(held);
        }
        self.looked_at = self.looked_at.saturating_sub(taken.len());
        taken
    }
}

impl State {
    /// Lists the lanes that have rested long enough.
    fn wake(&mut self, now: Instant) {
        let mut at = 0;
        while at < self.pausing.len() {
            if self.pausing[at].0 > now {
                at += 1;
                continue;
            }
            let (_, id) = self.pausing.swap_remove(at);
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.listed = false;
            }
            self.list(id);
        }
    }
}

/// The most bytes that an event takes in a request.
fn posted_bytes(held: &Held) -> usize {
    let tail = held.origin.as_ref().map_or(0, |origin| origin.tail.len()) + 24;
    let carrier = match &held.trail {
        Trail::AsItCame => 0,
        // A baggage written as JSON has at most six bytes for each of its own, and hardly ever more.
        Trail::Decided(trace) | Trail::Recorded { parent: trace, .. } => {
            96 + trace.baggage.as_str().map_or(0, str::len)
        }
    };
    held.json.len() + tail + carrier + 1
}
