//! The outbox: every event waits here, in its command's order, until it is settled.
//!
//! An event is *settled* when its acknowledgement has come, or, on a legacy link, when it was written. Until then it can be
//! sent again: a new link starts from the first unsettled event of each command, and a broker that missed some asks
//! for them ([`Outbox::resend`]).
//!
//! **What is durable when.** Events go to the [`journal`] first, on disk, and are sent only once they are synced there. So
//! none is lost when the runner's process or its machine dies, and no number is given twice: the next process finds
//! every event that a broker may have seen ([`Outbox::open`]), sends what is not settled, and says of what was running that
//! it ended with its runner. That [`Outbox::push`] returns promises nothing yet; [`Outbox::durable`] waits for it.
//!
//! **Bounds.** The outbox is bounded by the bytes on disk. When it is full, or the disk takes nothing, [`Outbox::push`]
//! waits, first come first served; a small reserve lets acknowledgements of commands and the events that end them in even
//! when it is full. While events are being settled, whoever makes them faster is held before that, at what memory holds:
//! on disk alone they would be written and read back for nothing. In memory are as many events as fit [`Bounds::memory`], and the oldest of each command; the others are
//! loaded when it is their turn.
//!
//! The sender pulls [`Frame`]s: many events, the commands taking turns, within the window of the link.

mod disk;
mod entry;
mod intake;
mod journal;
mod queue;
mod stored;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use hopline_files::FileSystem;
use hopline_telemetry::Tracer;
use hopline_wire::Timestamp;
use hopline_wire::link::{Resume, Welcome};
use hopline_wire::span::Span;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

pub(crate) use entry::{Entry, Frame, Taken};
pub(crate) use journal::{CommandHead, Known, Recovered};
use journal::{ENDED_REMEMBERED, Journal, Outlet, Record};
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

/// How much an outbox holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// On disk, in bytes; at least [`LEAST_BYTES`].
    pub(crate) disk: usize,
    /// Events that become durable stay in memory while there are fewer bytes than this in all.
    pub(crate) memory: u64,
}

impl Bounds {
    /// So many bytes on disk, and in memory a window of a link and what is about to fill it.
    pub(crate) const fn on_disk(disk: usize) -> Self {
        Self {
            disk,
            memory: 20 << 20,
        }
    }
}

/// Events count as being settled for so long after the last was.
const PACE: Duration = Duration::from_secs(1);

/// How many bytes may wait for the journal to write them.
const UNWRITTEN_BYTES: usize = 4 << 20;

/// The least that an outbox has room for, and how many segments it consists of when it is full.
const LEAST_BYTES: usize = 256 << 10;
const SEGMENTS: usize = 16;

/// At how many bytes a segment is left for the next, at most.
const SEGMENT_BYTES: usize = 16 << 20;

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
    journal: Journal,
    /// Bytes of room left, and those of the reserve.
    room: Semaphore,
    reserve: Semaphore,
    capacity: usize,
    /// How many bytes of events may be in memory.
    memory: u64,
    /// Bytes that may still be handed to the journal.
    unwritten: Semaphore,
    /// Something can be sent that could not before.
    ready: Notify,
    /// Something should be loaded.
    load: Notify,
    /// An event was made durable, or settled.
    moved: Notify,
    /// Why the disk takes nothing, while it does not.
    stalled: watch::Sender<Option<String>>,
    metrics: RunnerMetrics,
}

#[derive(Default)]
struct State {
    queues: HashMap<Arc<str>, Queue>,
    /// The last number that a command was given for the journal.
    last_number: u64,
    /// How many bytes of events are in memory.
    in_memory: u64,
    /// When the last event was settled.
    settled_at: Option<Instant>,
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
    /// Opens the outbox in `folder`; gives what an earlier process left there, which is to be taken over
    /// ([`Outbox::adopt`]) before anything is sent.
    ///
    /// # Errors
    /// If the folder cannot be made or read, or was written by a newer version.
    pub(crate) fn open(
        files: Arc<dyn FileSystem>,
        folder: &Path,
        bounds: Bounds,
        metrics: RunnerMetrics,
    ) -> io::Result<(Self, Recovered)> {
        let capacity = bounds.disk.clamp(LEAST_BYTES, Semaphore::MAX_PERMITS >> 1);
        let segment_bytes = (capacity / SEGMENTS).min(SEGMENT_BYTES) as u64;
        let (journal, recovered) = Journal::open(files, folder, capacity, segment_bytes)?;
        let used = journal.bytes();
        metrics.outbox_bytes.set(to_gauge(used));
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                last_number: recovered.control.last_number,
                ..State::default()
            }),
            journal,
            room: Semaphore::new(capacity.saturating_sub(used)),
            reserve: Semaphore::new(RESERVE_BYTES),
            capacity,
            memory: bounds.memory,
            unwritten: Semaphore::new(UNWRITTEN_BYTES),
            ready: Notify::new(),
            load: Notify::new(),
            moved: Notify::new(),
            stalled: watch::Sender::new(None),
            metrics,
        });
        let outlet: Weak<dyn Outlet> = Arc::downgrade(&shared) as _;
        shared.journal.start(&recovered, outlet)?;
        Ok((Self { shared }, recovered))
    }

    /// The command has no more events than it has by now. `handled` ends once the last one is written.
    pub(crate) fn close(&self, command: &Arc<str>, handled: Scope) {
        let mut state = self.shared.state.lock();
        let Some(queue) = state.queues.get_mut(command) else {
            return;
        };
        let all_on_their_way = queue.close(handled);
        let number = queue.number;
        let settled = state.forget_settled(command);
        drop(state);
        all_on_their_way
            .into_iter()
            .chain(settled)
            .for_each(Scope::end);
        self.shared.journal.write([Record::Closed(number)]);
        self.shared.moved.notify_waiters();
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
        let is_memory_full = self.shared.is_memory_full(&state);
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
        let (mut held, mut load) = (0, false);
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
            load |= queue.wants_load(is_memory_full);
            if queue.keeps_turn() {
                turns.push_back(command);
            }
        }
        if load {
            self.shared.load.notify_one();
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
        let State {
            queues,
            sent,
            in_memory,
            settled_at,
            ..
        } = &mut *state;
        let Some(queue) = queues.get_mut(command) else {
            return;
        };
        let id = Arc::clone(&queue.stream.command_id);
        let settled = queue.settle(seq, sent);
        *in_memory -= settled.bytes;
        if settled.events > 0 {
            *settled_at = Some(Instant::now());
        }
        let (number, seq) = (queue.number, queue.settled_seq());
        let load = queue.wants_load(*in_memory >= self.shared.memory);
        let handled = state.forget_settled(&id);
        drop(state);
        handled.into_iter().for_each(Scope::end);
        self.shared.settled(number, seq, &settled);
        // Waiting senders: the window is open again.
        self.shared.ready.notify_one();
        if load {
            self.shared.load.notify_one();
        }
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
            .is_some_and(|queue| queue.next_unsettled() == 1);
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
        self.until(|| self.waiting() == 0).await;
    }

    /// Waits until the condition holds, which only what is made durable or settled changes.
    async fn until(&self, condition: impl Fn() -> bool) {
        loop {
            let moved = self.shared.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if condition() {
                return;
            }
            moved.await;
        }
    }

    /// How many events are not settled.
    pub(crate) fn waiting(&self) -> usize {
        let state = self.shared.state.lock();
        state.queues.values().map(Queue::len).sum()
    }

    /// Why the disk takes nothing, while it does not; and every change of that.
    pub(crate) fn stalled(&self) -> watch::Receiver<Option<String>> {
        self.shared.stalled.subscribe()
    }

    /// Writes what there is, and ends, by `deadline` if the disk takes it until then. What is not settled stays on disk,
    /// for the next process.
    pub(crate) async fn stop(&self, deadline: Instant) -> Stopped {
        let stopped = self.shared.journal.stop();
        let is_written = tokio::time::timeout_at(deadline, stopped).await.is_ok();
        let events_waiting = self.waiting();
        let queues = std::mem::take(&mut self.shared.state.lock().queues);
        queues.into_values().for_each(Queue::leave);
        Stopped {
            events_waiting,
            is_written,
        }
    }
}

/// How an outbox ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped {
    /// How many events are not settled.
    pub(crate) events_waiting: usize,
    /// Whether the journal's thread has ended. If not, it may yet write to the folder.
    pub(crate) is_written: bool,
}

impl State {
    /// Forgets a command that is closed and settled wholly, all but its last number. Gives its span, where its events
    /// were settled before this process had written the last: it is to be ended, outside of the lock.
    fn forget_settled(&mut self, command: &Arc<str>) -> Option<Scope> {
        let settled = |queue: &Queue| queue.is_settled();
        if !self.queues.get(command).is_some_and(settled) {
            return None;
        }
        let mut queue = self.queues.remove(command)?;
        let handled = queue.take_handled();
        if self.ended.len() == ENDED_REMEMBERED {
            self.ended.pop_front();
        }
        let last_seq = queue.last_seq();
        self.ended.push_back((queue.stream, last_seq));
        handled
    }
}

fn to_gauge(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod disk_tests;
#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod room_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
