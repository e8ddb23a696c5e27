//! What the broker holds: who is connected, and the events that are not settled yet, in one lane per
//! command.
//!
//! One lock guards it all. It is taken once per frame received and twice per request sent, never per
//! event, and nothing is awaited under it. What the hub promises:
//! - an event stays until [`Hub::conclude`] ends it; nothing is dropped to make room;
//! - a lane's events leave in order, and in one request at a time;
//! - what is held is bounded by bytes: [`Hub::wait_for_room`] keeps links from being read.

mod batch;
mod event;
mod lane;
mod receive;
mod refusals;
mod upkeep;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hopline_telemetry::contract::TracedEvents;
use hopline_telemetry::{Head, Sampler};
use hopline_wire::Timestamp;
use hopline_wire::link::Resume;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) use batch::{Judged, Part, Take};
pub(crate) use event::{Arrival, Connection, Fate, Held, Trail, own_carrier};
use lane::{Lane, LaneId};
pub(crate) use refusals::{Refusals, Taken};

use crate::counters::Counters;
use crate::link::Link;

/// What the hub holds to.
pub(crate) struct Policy {
    /// The address under which others reach this broker.
    pub(crate) broker_url: String,
    /// See [`crate::Options::window`].
    pub(crate) window: u32,
    /// See [`crate::Options::window_bytes`].
    pub(crate) window_bytes: u64,
    /// See [`crate::Options::held_bytes`].
    pub(crate) held_bytes: u64,
    /// See [`crate::Options::max_event_bytes`].
    pub(crate) max_event_bytes: usize,
    pub(crate) traced: TracedEvents,
    pub(crate) sampler: Sampler,
    pub(crate) head: Head,
}

/// See the module.
pub(crate) struct Hub {
    policy: Policy,
    counters: Counters,
    state: Mutex<State>,
    /// Told when a lane becomes ready.
    pub(crate) work: Notify,
    /// Told when something held is gone.
    room: Notify,
}

#[derive(Default)]
struct State {
    runners: HashMap<Arc<str>, Runner>,
    lanes: HashMap<LaneId, Lane>,
    next_lane: LaneId,
    ready: VecDeque<LaneId>,
    pausing: Vec<(Instant, LaneId)>,
    held: Amount,
    /// How many of those held have been tried before.
    retrying: u64,
}

/// What is held of one runner, or of all.
#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    events: u64,
    bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: usize) {
        self.events += 1;
        self.bytes += bytes as u64;
    }

    fn remove(&mut self, bytes: usize) {
        self.events = self.events.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }
}

#[derive(Default)]
struct Runner {
    link: Option<Arc<Link>>,
    lanes: HashMap<Arc<str>, LaneId>,
    /// The lane of what the runner says about itself, and the broker about it.
    own_lane: Option<LaneId>,
    held: Amount,
    /// Whether lanes were forgotten while the link lived: then an unknown command may go on anywhere.
    forgot: bool,
}

/// Another instance of the runner is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AlreadyConnected;

/// What the hub holds, in figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) links: usize,
    pub(crate) lanes: usize,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) retrying: u64,
}

impl Hub {
    pub(crate) fn new(policy: Policy, counters: Counters) -> Self {
        Self {
            policy,
            counters,
            state: Mutex::default(),
            work: Notify::new(),
            room: Notify::new(),
        }
    }

    /// Makes `link` the link of its runner and takes the runner's word for where its commands go on.
    /// Gives back the link that this one replaces. The newest legacy link wins, and so does a new link of
    /// the same instance.
    ///
    /// # Errors
    /// [`AlreadyConnected`] while another instance is.
    pub(crate) fn attach(
        &self,
        link: &Arc<Link>,
        resume: &[Resume],
    ) -> Result<Option<Arc<Link>>, AlreadyConnected> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let id = &link.connection.runner;
        let runner = state.runners.entry(Arc::clone(id)).or_default();
        if let Some(there) = &runner.link
            && there.acks
            && there.instance != link.instance
        {
            return Err(AlreadyConnected);
        }
        let replaced = runner.link.replace(Arc::clone(link));
        runner.forgot = false;
        for Resume {
            command_id,
            next_seq,
        } in resume
        {
            let lane = state.lane(id, Some(command_id), now);
            let Some(lane) = state.lanes.get_mut(&lane) else {
                continue;
            };
            if lane.resume((*next_seq).max(1))
                && let Some(command) = &lane.command
            {
                link.outbox.ack(command, lane.settled);
            }
        }
        self.report_link(&mut state, id, true, Timestamp::now(), now);
        drop(state);
        self.counters.links.inc();
        self.work.notify_one();
        Ok(replaced)
    }

    /// Forgets the link, if it is still its runner's. What came on it stays.
    pub(crate) fn detach(&self, link: &Arc<Link>) {
        let now = Instant::now();
        self.counters.links.dec();
        let mut state = self.state.lock();
        let id = &link.connection.runner;
        let Some(runner) = state.runners.get_mut(id) else {
            return;
        };
        if !runner
            .link
            .as_ref()
            .is_some_and(|there| Arc::ptr_eq(there, link))
        {
            return;
        }
        runner.link = None;
        let lanes: Vec<_> = runner.lanes.values().copied().collect();
        for lane in lanes {
            state.forget_if_idle(lane);
        }
        self.report_link(&mut state, id, false, Timestamp::now(), now);
        drop(state);
        self.work.notify_one();
        self.room.notify_waiters();
    }

    /// The link of a runner, if it is connected.
    pub(crate) fn link(&self, runner: &str) -> Option<Arc<Link>> {
        self.state.lock().runners.get(runner)?.link.clone()
    }

    /// All links.
    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        let state = self.state.lock();
        let links = state
            .runners
            .values()
            .filter_map(|runner| runner.link.clone());
        links.collect()
    }

    /// Waits until events of this runner may be read.
    pub(crate) async fn wait_for_room(&self, runner: &str) {
        loop {
            let mut changed = std::pin::pin!(self.room.notified());
            changed.as_mut().enable();
            if self.has_room(runner) {
                return;
            }
            changed.await;
        }
    }

    /// Whether events of this runner may be read.
    pub(crate) fn has_room(&self, runner: &str) -> bool {
        let state = self.state.lock();
        let held = state.runners.get(runner).map(|runner| runner.held);
        let held = held.unwrap_or_default();
        // A runner that keeps to its window fills it at most; only one that does not is held up by it.
        held.events <= u64::from(self.policy.window)
            && held.bytes <= self.policy.window_bytes
            && state.held.bytes < self.policy.held_bytes
    }

    /// Waits until nothing is held.
    pub(crate) async fn wait_until_empty(&self) {
        loop {
            let mut changed = std::pin::pin!(self.room.notified());
            changed.as_mut().enable();
            if self.state.lock().held.events == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Waits until no runner is connected.
    pub(crate) async fn wait_until_unlinked(&self) {
        loop {
            let mut changed = std::pin::pin!(self.room.notified());
            changed.as_mut().enable();
            if self.figures().links == 0 {
                return;
            }
            changed.await;
        }
    }

    /// What is held.
    pub(crate) fn figures(&self) -> Figures {
        let state = self.state.lock();
        Figures {
            links: state
                .runners
                .values()
                .filter(|runner| runner.link.is_some())
                .count(),
            lanes: state.lanes.len(),
            events: state.held.events,
            bytes: state.held.bytes,
            retrying: state.retrying,
        }
    }
}

impl State {
    /// The lane of a command of a runner, made if need be.
    fn lane(&mut self, id: &Arc<str>, command: Option<&str>, now: Instant) -> LaneId {
        let runner = self.runners.entry(Arc::clone(id)).or_default();
        let there = match command {
            Some(command) => runner.lanes.get(command).copied(),
            None => runner.own_lane,
        };
        if let Some(lane) = there {
            return lane;
        }
        self.next_lane += 1;
        let lane = self.next_lane;
        let command: Option<Arc<str>> = command.map(Arc::from);
        match &command {
            Some(command) => {
                runner.lanes.insert(Arc::clone(command), lane);
            }
            None => runner.own_lane = Some(lane),
        }
        self.lanes
            .insert(lane, Lane::new(Arc::clone(id), command, now));
        lane
    }

    /// Puts the lane among those that are ready, if it is.
    fn list(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        if !lane.in_flight && !lane.listed && !lane.waiting.is_empty() {
            lane.listed = true;
            self.ready.push_back(id);
        }
    }

    /// Counts an event that is no longer held.
    fn let_go(&mut self, runner: &str, held: &Held) {
        self.held.remove(held.counted);
        if held.attempts > 0 {
            self.retrying = self.retrying.saturating_sub(1);
        }
        if let Some(runner) = self.runners.get_mut(runner) {
            runner.held.remove(held.counted);
        }
    }

    /// Forgets a lane that holds nothing, and its runner with the last one, unless the runner is
    /// connected: then the lane still knows what comes next.
    fn forget_if_idle(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get(&id).filter(|lane| lane.is_empty()) else {
            return;
        };
        let name = Arc::clone(&lane.runner);
        let connected = self
            .runners
            .get(&name)
            .is_some_and(|runner| runner.link.is_some());
        if !connected {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.remove(&id) else {
            return;
        };
        let Some(runner) = self.runners.get_mut(&lane.runner) else {
            return;
        };
        match &lane.command {
            Some(command) => {
                runner.lanes.remove(command);
            }
            None => runner.own_lane = None,
        }
        if runner.link.is_none() && runner.lanes.is_empty() && runner.own_lane.is_none() {
            self.runners.remove(&lane.runner);
        }
    }
}
