//! What the hub does now and then: reports links to the server, shows events that wait long, forgets
//! lanes that nobody uses.

use std::sync::Arc;
use std::time::Duration;

use hopline_telemetry::pending::UNFINISHED_AFTER;
use hopline_wire::Timestamp;
use hopline_wire::event::EventType;
use hopline_wire::span::Text;
use serde::Serialize;
use tokio::time::Instant;

use super::event::{Fate, Held, Trail};
use super::{Hub, State};

/// A connected runner may have this many lanes before those that are idle are forgotten.
const MANY_LANES: usize = 1_024;

/// How long a lane is idle before it is forgotten.
const IDLE: Duration = Duration::from_secs(60);

/// What the broker reports of a runner's link.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LinkReport<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: Timestamp,
    runner_id: &'a str,
    broker_url: &'a str,
    link: &'static str,
}

impl Hub {
    /// Reports every connected runner's link as up.
    pub(crate) fn report_links(&self) {
        let (at, now) = (Timestamp::now(), Instant::now());
        let mut state = self.state.lock();
        let connected: Vec<Arc<str>> = state
            .runners
            .iter()
            .filter(|(_, runner)| runner.link.is_some())
            .map(|(id, _)| Arc::clone(id))
            .collect();
        for id in connected {
            self.report_link(&mut state, &id, true, at, now);
        }
        drop(state);
        self.work.notify_one();
    }

    pub(super) fn report_link(
        &self,
        state: &mut State,
        runner: &Arc<str>,
        up: bool,
        at: Timestamp,
        now: Instant,
    ) {
        let report = LinkReport {
            kind: EventType::RunnerStatus.as_str(),
            timestamp: at,
            runner_id: runner,
            broker_url: &self.policy.broker_url,
            link: if up { "up" } else { "down" },
        };
        // Texts and a time serialise without fail.
        let json = serde_json::to_vec(&report).unwrap_or_default();
        let id = state.lane(runner, None, now);
        let held = Held {
            counted: json.len(),
            json: json.into(),
            kind: Text::Static(EventType::RunnerStatus.as_str()),
            project: Text::EMPTY,
            seq: None,
            origin: None,
            link_seq: 0,
            trail: Trail::AsItCame,
            plain: true,
            received: at,
            waiting_since: at,
            waited: 0,
            attempts: 0,
            failures: Vec::new(),
            shown: false,
            replaced: None,
        };
        // A newer report makes an older one pointless, if that still waits.
        let Some(lane) = state.lanes.get_mut(&id) else {
            return;
        };
        let older = lane
            .waiting
            .iter()
            .position(|there| there.origin.is_none())
            .and_then(|there| lane.waiting.remove(there));
        state.held.add(held.counted);
        if let Some(runner) = state.runners.get_mut(runner) {
            runner.held.add(held.counted);
        }
        lane.waiting.push_back(held);
        if let Some(older) = older {
            state.let_go(runner, &older);
        }
        state.list(id);
    }

    /// Calls `show` for each event that has waited in its lane for more than a second, once.
    pub(crate) fn show_waiting(&self, mut show: impl FnMut(&Text, &Held)) {
        let limit = u64::try_from(UNFINISHED_AFTER.as_nanos()).unwrap_or(u64::MAX);
        let at = Timestamp::now();
        let mut state = self.state.lock();
        for lane in state.lanes.values_mut() {
            if lane.waiting.is_empty() {
                lane.looked_at = 0;
                continue;
            }
            let command = lane.command_text();
            while let Some(held) = lane.waiting.get_mut(lane.looked_at)
                && at.nanos_since(held.received) > limit
            {
                lane.looked_at += 1;
                if !held.shown {
                    held.shown = true;
                    show(&command, held);
                }
            }
        }
    }

    /// Forgets lanes that have been idle for long, of runners that have very many.
    pub(crate) fn forget_idle_lanes(&self) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let crowded: Vec<Arc<str>> = state
            .runners
            .iter()
            .filter(|(_, runner)| runner.lanes.len() > MANY_LANES)
            .map(|(id, _)| Arc::clone(id))
            .collect();
        for name in crowded {
            let Some(runner) = state.runners.get(&name) else {
                continue;
            };
            let idle = |id: &&u64| {
                state.lanes.get(id).is_some_and(|lane| {
                    lane.is_empty() && now.duration_since(lane.last_used) > IDLE
                })
            };
            let idle: Vec<_> = runner.lanes.values().filter(idle).copied().collect();
            if idle.is_empty() {
                continue;
            }
            if let Some(runner) = state.runners.get_mut(&name) {
                runner.forgot = true;
            }
            idle.into_iter().for_each(|id| state.forget(id));
        }
    }

    /// Sets the gauges of what is held.
    pub(crate) fn measure(&self) {
        let figures = self.figures();
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.counters.held_events.set(gauge(figures.events));
        self.counters.held_bytes.set(gauge(figures.bytes));
    }

    /// Gives up everything that waits: for the end of the broker.
    pub(crate) fn abandon(&self) -> Vec<(Text, Held, Fate)> {
        let mut state = self.state.lock();
        let mut left = Vec::new();
        for lane in state.lanes.values_mut() {
            let command = lane.command_text();
            let waiting = lane.waiting.drain(..);
            left.extend(waiting.map(|held| (command.clone(), held, Fate::Abandoned)));
        }
        left
    }
}
