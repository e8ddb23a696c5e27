//! The outbox: every event waits here, in its command's order, until it is settled.
//!
//! An event is *settled* when its acknowledgement has come, or, on a legacy link, when it was written. Until then it can be
//! sent again: a new link starts from the first unsettled event of each command, and a broker that missed some asks
//! for them ([`Outbox::resend`]).
//!
//! The outbox is bounded by bytes. When it is full, [`Outbox::push`] waits, first come first served; a small reserve
//! lets acknowledgements of commands and the events that end them in even then. This one is in memory: what it holds is
//! gone with the process, and counted ([`Outbox::abandon`]).
//!
//! The sender pulls [`Frame`]s: many events, the commands taking turns, within the window of the link.

mod entry;
mod queue;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use hopline_telemetry::Tracer;
use hopline_wire::Timestamp;
use hopline_wire::link::{Resume, Welcome};
use hopline_wire::span::Span;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

pub(crate) use entry::{Entry, Frame, Taken};
use queue::Queue;

use crate::events::Stream;
use crate::metrics::RunnerMetrics;
use crate::trace::Scope;

/// The most events of one frame.
const FRAME_EVENTS: usize = 1_000;

/// A frame of this many bytes is full. One large event may make it larger.
const FRAME_BYTES: usize = 512 << 10;

/// How much room the events of the reserve have, in bytes.
const RESERVE_BYTES: usize = 1 << 20;

/// Room is asked for in pieces of at most this, so that a large batch needs no large hole.
const PIECE_BYTES: usize = 64 << 10;

/// Of how many commands that are settled wholly the last number is remembered.
const ENDED_REMEMBERED: usize = 1_024;

/// How many events one look for those that have waited long shows.
const SHOWN_AT_ONCE: usize = 512;

/// How much may be unsettled on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) events: usize,
    pub(crate) bytes: u64,
}

impl Window {
    pub(crate) fn of(welcome: &Welcome) -> Self {
        Self {
            events: usize::try_from(welcome.window).unwrap_or(usize::MAX),
            bytes: welcome.window_bytes,
        }
    }

    /// The window of a link that settles what is written.
    pub(crate) const OPEN: Self = Self {
        events: usize::MAX,
        bytes: u64::MAX,
    };
}

/// The handle to the outbox; cheap to clone.
#[derive(Clone)]
pub(crate) struct Outbox {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Bytes of room left, and those of the reserve.
    room: Semaphore,
    reserve: Semaphore,
    capacity: usize,
    /// Something can be sent that could not before.
    ready: Notify,
    /// An event was settled.
    settled: Notify,
    metrics: RunnerMetrics,
}

#[derive(Default)]
struct State {
    queues: HashMap<Arc<str>, Queue>,
    /// The commands that have something to send, in the order of their turns.
    turns: VecDeque<Arc<str>>,
    /// Commands all of whose events are settled, oldest first.
    ended: VecDeque<(Arc<Stream>, u64)>,
    /// The runner's last word about itself, which needs no settlement.
    status: Option<Bytes>,
    /// What of all commands is sent on this link and not settled.
    sent: Sent,
}

/// A number of events and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sent {
    events: usize,
    bytes: u64,
}

impl Sent {
    fn add(&mut self, body: &Bytes) {
        self.events += 1;
        self.bytes += body.len() as u64;
    }

    fn remove(&mut self, body: &Bytes) {
        self.events -= 1;
        self.bytes -= body.len() as u64;
    }

    /// Whether another event of that size stays within the window. One always does: the window must not stop the
    /// link, however small it is.
    fn admits(&self, body: &Bytes, window: &Window) -> bool {
        self.events == 0
            || (self.events < window.events && self.bytes + body.len() as u64 <= window.bytes)
    }
}

impl Outbox {
    /// An outbox with room for `capacity` bytes.
    pub(crate) fn new(capacity: usize, metrics: RunnerMetrics) -> Self {
        let capacity = capacity.clamp(PIECE_BYTES, Semaphore::MAX_PERMITS >> 1);
        Self {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                room: Semaphore::new(capacity),
                reserve: Semaphore::new(RESERVE_BYTES),
                capacity,
                ready: Notify::new(),
                settled: Notify::new(),
                metrics,
            }),
        }
    }

    /// Makes a place for a command's events.
    pub(crate) fn open(&self, stream: &Arc<Stream>) {
        let mut state = self.shared.state.lock();
        let queue = Queue::new(Arc::clone(stream));
        state.queues.insert(Arc::clone(&stream.command_id), queue);
    }

    /// Takes events of a command, in order; waits while there is no room. Those that were not taken when the future
    /// is dropped are still in `entries`.
    pub(crate) async fn push(&self, command: &Arc<str>, entries: &mut VecDeque<Entry>) {
        while let Some(first) = entries.front() {
            let reserved = first.is_reserved();
            let (mut count, mut bytes) = (0, 0);
            for entry in entries.iter() {
                if count > 0 && (entry.is_reserved() != reserved || bytes >= PIECE_BYTES) {
                    break;
                }
                count += 1;
                bytes += entry.weight();
            }
            let from_reserve = self.charge(&mut bytes, reserved).await;
            let mut state = self.shared.state.lock();
            let State { queues, turns, .. } = &mut *state;
            let Some(queue) = queues.get_mut(command) else {
                // Only a command that was closed before its last event could come here.
                tracing::error!(%command, "events after the end of their command");
                entries.clear();
                return;
            };
            queue.append(entries.drain(..count), bytes, from_reserve);
            if queue.wants_turn() {
                turns.push_back(Arc::clone(command));
            }
            drop(state);
            self.shared.metrics.outbox_bytes.inc_by(to_gauge(bytes));
            self.shared.ready.notify_one();
        }
    }

    /// Takes room for `bytes`, which is cut to what there can ever be; says whether it is of the reserve.
    async fn charge(&self, bytes: &mut usize, reserved: bool) -> bool {
        *bytes = (*bytes).min(self.shared.capacity);
        let permits = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = &self.shared.room;
        if reserved {
            if let Ok(permit) = room.try_acquire_many(permits(*bytes)) {
                permit.forget();
                return false;
            }
            *bytes = (*bytes).min(RESERVE_BYTES);
            if let Ok(permit) = self.shared.reserve.acquire_many(permits(*bytes)).await {
                permit.forget();
            }
            return true;
        }
        // The semaphores are never closed.
        if let Ok(permit) = room.acquire_many(permits(*bytes)).await {
            permit.forget();
        }
        false
    }

    /// The command has no more events than it has by now. `handled` ends once the last one is written.
    pub(crate) fn close(&self, command: &Arc<str>, handled: Scope) {
        let mut state = self.shared.state.lock();
        let Some(queue) = state.queues.get_mut(command) else {
            return;
        };
        if let Some(handled) = queue.close(handled) {
            handled.end();
        }
        state.forget_settled(command);
        drop(state);
        self.shared.settled.notify_waiters();
    }

    /// Sets what the runner says about itself. Only the last word is kept, and it is sent once.
    pub(crate) fn set_status(&self, body: Bytes) {
        self.shared.state.lock().status = Some(body);
        self.shared.ready.notify_one();
    }

    /// Waits until there may be something to take. May wake without reason.
    pub(crate) async fn ready(&self) {
        self.shared.ready.notified().await;
    }

    /// Takes what is to be sent next within the window, if anything is.
    pub(crate) fn take(&self, window: &Window) -> Option<Frame> {
        let now = Timestamp::now();
        let mut state = self.shared.state.lock();
        let State {
            queues,
            turns,
            status,
            sent,
            ..
        } = &mut *state;
        let mut frame = Frame {
            status: status.take(),
            taken_at: now,
            ..Frame::default()
        };
        let mut held = 0;
        while held < turns.len() && frame.events.len() < FRAME_EVENTS && frame.bytes < FRAME_BYTES {
            let Some(command) = turns.pop_front() else {
                break;
            };
            let Some(queue) = queues.get_mut(&command) else {
                continue;
            };
            let before = frame.events.len();
            queue.take_turn(&mut frame, window, sent);
            // A command that its window holds keeps its place, and does not count as one that was served.
            held = if frame.events.len() == before {
                held + 1
            } else {
                0
            };
            if queue.keeps_turn() {
                turns.push_back(command);
            }
        }
        frame.is_some_work().then_some(frame)
    }

    /// The frame is written, at `now`: its spans, finished. On a link that acknowledges nothing its events are settled.
    pub(crate) fn written(&self, frame: Frame, settles: bool, tracer: &Tracer, now: Timestamp) {
        let metrics = &self.shared.metrics;
        let again = frame.events.iter().filter(|taken| taken.again).count() as u64;
        metrics.events_resent.inc_by(again);
        metrics
            .events_sent
            .inc_by(frame.events.len() as u64 - again);
        if settles {
            self.settle_written(&frame.events);
        }
        tracer.record_all(frame.events.iter().filter_map(|taken| {
            let mut span = taken.span(tracer, frame.taken_at)?;
            span.end = now;
            Some(span)
        }));
        for (_, handled) in frame.handled {
            handled.end_at(now);
        }
    }

    fn settle_written(&self, events: &[Taken]) {
        // A frame is made of runs of one command each, in order.
        for run in events.chunk_by(|a, b| Arc::ptr_eq(&a.stream, &b.stream)) {
            if let Some(last) = run.last() {
                self.acked(&last.stream.command_id, last.seq);
            }
        }
    }

    /// The frame could not be written, or not wholly: what waits for that goes on waiting.
    pub(crate) fn unwritten(&self, frame: Frame) {
        let mut state = self.shared.state.lock();
        if frame.status.is_some() && state.status.is_none() {
            state.status = frame.status;
        }
        for taken in frame.events.into_iter().rev() {
            if let Some(queue) = state.queues.get_mut(&taken.stream.command_id) {
                queue.take_back(taken);
            }
        }
        for (command, handled) in frame.handled {
            match state.queues.get_mut(&command) {
                Some(queue) => queue.take_back_handled(handled),
                None => handled.end(),
            }
        }
    }

    /// The command's events up to `seq` are settled.
    pub(crate) fn acked(&self, command: &str, seq: u64) {
        let mut state = self.shared.state.lock();
        let State { queues, sent, .. } = &mut *state;
        let Some(queue) = queues.get_mut(command) else {
            return;
        };
        let id = Arc::clone(&queue.stream.command_id);
        let settled = queue.settle(seq, sent);
        state.forget_settled(&id);
        drop(state);
        self.shared.metrics.events_settled.inc_by(settled.events);
        self.give_back(settled.room, settled.reserve);
        // Waiting senders: the window is open again.
        self.shared.ready.notify_one();
        self.shared.settled.notify_waiters();
    }

    fn give_back(&self, room: usize, reserve: usize) {
        self.shared.room.add_permits(room);
        self.shared.reserve.add_permits(reserve);
        let bytes = to_gauge(room + reserve);
        self.shared.metrics.outbox_bytes.dec_by(bytes);
    }

    /// The broker misses the command's events from `seq` on: they are sent again. Those that are gone are replaced by
    /// one `events-lost`.
    pub(crate) fn resend(&self, command: &str, seq: u64) {
        let mut state = self.shared.state.lock();
        let State {
            queues,
            turns,
            ended,
            sent,
            ..
        } = &mut *state;
        if !queues.contains_key(command)
            && let Some(at) = ended
                .iter()
                .position(|(stream, _)| *stream.command_id == *command)
            && let Some((stream, last_seq)) = ended.remove(at)
        {
            let queue = Queue::ended(Arc::clone(&stream), last_seq);
            queues.insert(Arc::clone(&stream.command_id), queue);
        }
        let Some(queue) = queues.get_mut(command) else {
            tracing::warn!(
                command,
                seq,
                "the broker asks for events of a command that is not known here"
            );
            return;
        };
        queue.rewind(seq, sent);
        if queue.wants_turn() {
            turns.push_back(Arc::clone(&queue.stream.command_id));
        }
        drop(state);
        self.shared.ready.notify_one();
    }

    /// The command came again: if its first event, the acknowledgement, is not settled, it goes out once more.
    pub(crate) fn repeat_ack(&self, command: &str) {
        let unsettled = self
            .shared
            .state
            .lock()
            .queues
            .get(command)
            .is_some_and(|queue| queue.first_seq() == Some(1));
        if unsettled {
            self.resend(command, 1);
        }
    }

    /// A new link: everything unsettled is to be sent again. Answers where each command goes on.
    pub(crate) fn restart(&self) -> Vec<Resume> {
        let mut state = self.shared.state.lock();
        let State {
            queues,
            turns,
            sent,
            ..
        } = &mut *state;
        let mut resume = Vec::with_capacity(queues.len());
        for (id, queue) in queues.iter_mut() {
            queue.rewind(0, sent);
            if queue.wants_turn() {
                turns.push_back(Arc::clone(id));
            }
            resume.push(Resume {
                command_id: id.to_string(),
                next_seq: queue.next_unsettled(),
            });
        }
        drop(state);
        self.shared.ready.notify_one();
        resume
    }

    /// The spans of events that have waited since before `since` without being written, each shown once; at most so
    /// many at a time.
    pub(crate) fn newly_late(&self, tracer: &Tracer, since: Timestamp) -> Vec<Span> {
        let mut state = self.shared.state.lock();
        let mut spans = Vec::new();
        for queue in state.queues.values_mut() {
            queue.show_late(tracer, since, SHOWN_AT_ONCE, &mut spans);
        }
        spans
    }

    /// Waits until every event is settled.
    pub(crate) async fn drained(&self) {
        loop {
            let settled = self.shared.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if self.waiting() == 0 {
                return;
            }
            settled.await;
        }
    }

    /// How many events are not settled.
    pub(crate) fn waiting(&self) -> usize {
        let state = self.shared.state.lock();
        state.queues.values().map(Queue::len).sum()
    }

    /// Gives up what is left: the spans of what was never written, failed, and how many events there were.
    pub(crate) fn abandon(&self, tracer: &Tracer, now: Timestamp) -> (Vec<Span>, usize) {
        let mut state = self.shared.state.lock();
        let left = state.queues.values().map(Queue::len).sum();
        let mut spans = Vec::new();
        for (_, mut queue) in state.queues.drain() {
            queue.abandon(tracer, now, &mut spans);
        }
        state.turns.clear();
        drop(state);
        self.shared.metrics.events_abandoned.inc_by(left as u64);
        (spans, left)
    }
}

impl State {
    /// Forgets a command that is closed and settled wholly, all but its last number.
    fn forget_settled(&mut self, command: &Arc<str>) {
        let settled = |queue: &Queue| queue.is_settled();
        if self.queues.get(command).is_some_and(settled)
            && let Some(queue) = self.queues.remove(command)
        {
            if self.ended.len() == ENDED_REMEMBERED {
                self.ended.pop_front();
            }
            let last_seq = queue.last_seq();
            self.ended.push_back((queue.stream, last_seq));
        }
    }
}

fn to_gauge(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
