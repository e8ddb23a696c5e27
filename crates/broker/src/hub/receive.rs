//! Events in: each to the end of its lane, with the decision what becomes of its trace.

use std::sync::Arc;

use bytes::Bytes;
use hopline_telemetry::context::BaggageCache;
use hopline_telemetry::contract::event_type_text;
use hopline_telemetry::{Hop, TraceContext, ids};
use hopline_wire::Timestamp;
use hopline_wire::carrier::CarrierRef;
use hopline_wire::event::Tracing;
use hopline_wire::link::LinkFrame;
use tokio::time::Instant;

use super::event::{Arrival, Held, Trail};
use super::lane::{Lane, LaneId, Place};
use super::{Hub, State};
use crate::link::Link;

/// Only so much of what belongs to no command is held of a runner; beyond that the oldest goes, counted.
/// It reports how the runner is, so a newer report replaces it.
const MAX_OWN_EVENTS: usize = 256;

/// Where the sixteen digits of the span stand in a `sentry-trace` value.
const SPAN_AT: usize = 33;

impl Hub {
    /// Takes the events of one frame. `numbered` is how many events came on the link before.
    pub(crate) fn receive(&self, link: &Arc<Link>, arrivals: &[Arrival<'_>], numbered: u64) {
        let (at, now) = (Timestamp::now(), Instant::now());
        let mut state = self.state.lock();
        let id = &link.connection.runner;
        let current = state
            .runners
            .get(id)
            .and_then(|runner| runner.link.as_ref())
            .is_some_and(|there| Arc::ptr_eq(there, link));
        if link.acks && !current {
            // The link that replaced this one brings them again.
            return;
        }
        let mut last: Option<LaneId> = None;
        for (arrival, link_seq) in arrivals.iter().zip(numbered + 1..) {
            if LinkFrame::is_link_type(&arrival.kind) {
                continue;
            }
            let lane = self.lane_of(&mut state, link, arrival, last, now);
            if self.admit(&mut state, lane, link, arrival, now) {
                self.hold(&mut state, lane, link, arrival, link_seq, at);
            }
            if last.is_some_and(|last| last != lane) {
                last.into_iter().for_each(|last| state.list(last));
            }
            last = Some(lane);
        }
        last.into_iter().for_each(|last| state.list(last));
        drop(state);
        self.counters.received.inc_by(arrivals.len() as u64);
        self.work.notify_one();
    }

    /// The lane of an event. Events of one command mostly come together, so the last one is tried first.
    fn lane_of(
        &self,
        state: &mut State,
        link: &Arc<Link>,
        arrival: &Arrival<'_>,
        last: Option<LaneId>,
        now: Instant,
    ) -> LaneId {
        let command = arrival.command.as_deref();
        let same = last.filter(|last| {
            state
                .lanes
                .get(last)
                .is_some_and(|lane| lane.command.as_deref() == command)
        });
        same.unwrap_or_else(|| state.lane(&link.connection.runner, command, now))
    }

    /// Whether the event belongs at the end of its lane. If not, the runner is told what it has to know.
    fn admit(
        &self,
        state: &mut State,
        id: LaneId,
        link: &Arc<Link>,
        arrival: &Arrival<'_>,
        now: Instant,
    ) -> bool {
        let State { lanes, runners, .. } = state;
        let Some(lane) = lanes.get_mut(&id) else {
            return false;
        };
        lane.last_used = now;
        lane.acks = link.acks;
        let (Some(command), Some(seq), true) = (&lane.command, arrival.seq, link.acks) else {
            return true;
        };
        let command = Arc::clone(command);
        if lane.next.is_none() {
            let forgot = runners
                .get(&lane.runner)
                .is_some_and(|runner| runner.forgot);
            // A command that the runner did not name in `hello` began after it.
            lane.next = (!forgot).then_some(1);
        }
        let from = arrival.lost_from.map_or(seq, |from| from.clamp(1, seq));
        match lane.place(from, seq, now) {
            Place::Next => true,
            Place::Duplicate => {
                self.counters.duplicates.inc();
                if seq <= lane.settled {
                    link.outbox.ack(&command, lane.settled);
                }
                false
            }
            Place::Gap { ask } => {
                self.counters.out_of_order.inc();
                if let Some(seq) = ask {
                    link.outbox.resend(&command, seq);
                }
                false
            }
        }
    }

    fn hold(
        &self,
        state: &mut State,
        id: LaneId,
        link: &Arc<Link>,
        arrival: &Arrival<'_>,
        link_seq: u64,
        at: Timestamp,
    ) {
        let Some(lane) = state.lanes.get_mut(&id) else {
            return;
        };
        // What belongs to no command has no number, whatever it says: no answer could name it.
        let seq = arrival.seq.filter(|_| lane.command.is_some());
        let too_large = arrival.json.len() > self.policy.max_event_bytes;
        if too_large {
            tracing::warn!(
                trace_id = arrival.trace_id().map(tracing::field::display),
                runner = &*lane.runner,
                bytes = arrival.json.len(),
                "an event is too large and is not passed on"
            );
            if seq.is_none() {
                // Nobody waits for its number.
                self.counters.rejected("too_large");
                return;
            }
        }
        let mut held = Held {
            json: arrival.json.clone(),
            kind: event_type_text(&arrival.kind),
            project: lane.project(arrival.project.as_deref()),
            seq,
            origin: Some(Arc::clone(&link.connection)),
            link_seq,
            trail: self.trail(lane, arrival),
            plain: arrival.plain,
            counted: 0,
            received: at,
            waiting_since: at,
            waited: 0,
            attempts: 0,
            failures: Vec::new(),
            shown: false,
            replaced: None,
        };
        if too_large {
            let command = lane.command.as_deref().unwrap_or_default();
            let why = format!("the event has {} bytes", arrival.json.len());
            held.stand_in(command, "too_large", &why, at);
        } else {
            // A part of the frame would keep all of it, and what was read with it, for as long as this event is held,
            // which counts for its own bytes alone.
            held.json = Bytes::copy_from_slice(arrival.json);
        }
        let dropped = (lane.command.is_none() && lane.waiting.len() >= MAX_OWN_EVENTS)
            .then(|| lane.waiting.pop_front())
            .flatten();
        held.counted = held.json.len();
        state.held.add(held.counted);
        if let Some(runner) = state.runners.get_mut(&link.connection.runner) {
            runner.held.add(held.counted);
        }
        lane.waiting.push_back(held);
        if let Some(dropped) = dropped {
            self.counters.reports_replaced.inc();
            state.let_go(&link.connection.runner, &dropped);
        }
    }

    /// What becomes of the event's trace.
    fn trail(&self, lane: &mut Lane, arrival: &Arrival<'_>) -> Trail {
        let carrier = match &arrival.carrier {
            None => None,
            Some(Ok(carrier)) => self.context(carrier, &mut lane.baggage),
            Some(Err(_)) => {
                self.counters.malformed_carriers.inc();
                None
            }
        };
        if self.policy.traced.of(&arrival.kind) != Tracing::Traced {
            return Trail::AsItCame;
        }
        match (carrier, arrival.carrier.as_ref()) {
            (Some(context), Some(Ok(carrier))) => self.follow(context, carrier, arrival),
            _ => self.begin(lane, &arrival.kind),
        }
    }

    fn context(&self, carrier: &CarrierRef<'_>, cache: &mut BaggageCache) -> Option<TraceContext> {
        let context = TraceContext::from_carrier(carrier, cache);
        if context.is_err() {
            self.counters.malformed_carriers.inc();
        }
        context.ok()
    }

    /// The trail of an event that carries a trace.
    fn follow(
        &self,
        context: TraceContext,
        carrier: &CarrierRef<'_>,
        arrival: &Arrival<'_>,
    ) -> Trail {
        if context.sampled == Some(false) {
            return Trail::AsItCame;
        }
        let parent = context.decided(&self.policy.sampler);
        if !parent.is_recorded() {
            return Trail::Decided(parent);
        }
        let baggage_stays = parent.baggage.as_str() == carrier.baggage.as_deref();
        let digits_at = (baggage_stays && is_as_written(&carrier.trace))
            .then(|| offset(&carrier.trace, arrival.json))
            .flatten()
            .map(|at| at + SPAN_AT);
        Trail::Recorded {
            parent,
            span_id: ids::new_span_id(),
            head: false,
            digits_at,
        }
    }

    /// The trail of an event that should carry a trace and does not: all of its command share one, which
    /// begins with the first one's forwarding.
    fn begin(&self, lane: &mut Lane, kind: &str) -> Trail {
        if lane.command.is_none() {
            // What belongs to no command has nothing to share a trace with.
            lane.own_trace = None;
        }
        let head = lane.own_trace.is_none();
        let policy = &self.policy;
        let trace = lane.own_trace.get_or_insert_with(|| {
            let name = Hop::ForwardEvent.named(kind.to_owned()).to_string();
            TraceContext::new_trace(&policy.sampler, &policy.head, &name, None)
        });
        if !trace.is_recorded() {
            return Trail::Decided(trace.clone());
        }
        let span_id = if head {
            trace.span_id
        } else {
            ids::new_span_id()
        };
        Trail::Recorded {
            parent: trace.clone(),
            span_id,
            head,
            digits_at: None,
        }
    }
}

/// Whether a `sentry-trace` value says that it is recorded in exactly the form in which it is passed on, without padding.
fn is_as_written(trace: &str) -> bool {
    trace.len() == SPAN_AT + 18 && trace.as_bytes()[SPAN_AT - 1] == b'-' && trace.ends_with("-1")
}

/// Where `part` stands in `whole`; none if it was decoded into memory of its own.
fn offset(part: &str, whole: &[u8]) -> Option<usize> {
    let at = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    (at + part.len() <= whole.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use hopline_telemetry::contract::TracedEvents;
    use hopline_telemetry::metrics::Metrics;
    use hopline_telemetry::{Head, Sampler};
    use hopline_wire::splice;

    use super::super::{Policy, Take};
    use super::*;
    use crate::counters::Counters;

    fn hub() -> Hub {
        let policy = Policy {
            broker_url: String::new(),
            window: 100,
            window_bytes: 1 << 20,
            held_bytes: 1 << 20,
            max_event_bytes: 1 << 20,
            traced: TracedEvents::default(),
            sampler: Sampler::new(1.0),
            head: Head::default(),
        };
        Hub::new(policy, Counters::new(&Metrics::default()))
    }

    #[tokio::test]
    async fn what_is_held_keeps_nothing_of_the_frame_that_it_came_in() {
        let hub = hub();
        let link = Arc::new(Link::without_socket("r"));
        let frame = Bytes::from(
            r#"[{"type":"x","commandId":"a"},{"type":"x","commandId":"b","data":"large"}]"#
                .as_bytes()
                .to_vec(),
        );
        let events = splice::split(&frame).unwrap();
        let arrivals: Vec<_> = events.iter().map(Arrival::read).collect();
        hub.receive(&link, &arrivals, 0);
        drop(arrivals);
        drop(events);
        assert!(frame.is_unique());
        let limit = Take {
            events: 9,
            bytes: 999,
        };
        let taken = hub.take(limit, Timestamp::now()).unwrap();
        let held = taken.iter().flat_map(|part| &part.events);
        let held: Vec<_> = held.map(|held| &held.json[..]).collect();
        assert_eq!(held[0], br#"{"type":"x","commandId":"a"}"#);
        assert_eq!(
            hub.figures().bytes as usize,
            held.iter().map(|json| json.len()).sum::<usize>()
        );
    }
}
