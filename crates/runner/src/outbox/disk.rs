//! The outbox towards its journal: what becomes durable is put where it can be sent from, and what is on disk only is
//! loaded when it is wanted.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::entry::Entry;
use super::journal::{Group, Outlet, Room, Run};
use super::stored::{Settled, Stored};
use super::{Outbox, Shared, State, to_gauge};
use crate::trace::Scope;

/// How long after each failure to read the next try comes. After the last what was to be read is lost.
const READ_PAUSES: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

/// Events that are being read back.
struct Reading {
    stored: Stored,
    /// None until they are read.
    entries: Option<Vec<Entry>>,
    /// Why the last try failed.
    error: Option<io::Error>,
}

impl Reading {
    fn new(stored: Stored) -> Self {
        Self {
            stored,
            entries: None,
            error: None,
        }
    }

    /// What could be read.
    fn take(self) -> (Stored, Vec<Entry>) {
        let entries = self.entries.unwrap_or_default();
        if let Stored::Run(run) = &self.stored
            && run.events() > entries.len() as u64
        {
            let (from, to) = (run.first_seq, run.last_seq);
            let error = self.error.map(|error| error.to_string());
            let error = error.as_deref().unwrap_or("a frame is damaged");
            tracing::error!(error, from, to, "the outbox has lost events");
        }
        (self.stored, entries)
    }
}

impl Outbox {
    /// Loads what is on disk only when it is wanted; never ends.
    pub(crate) async fn load(self) {
        loop {
            self.shared.load.notified().await;
            while let Some((command, number, stored)) = self.next_load() {
                let Some(read) = self.read(number, stored).await else {
                    return;
                };
                self.loaded(&command, read);
            }
        }
    }

    fn next_load(&self) -> Option<(Arc<str>, u64, Vec<Stored>)> {
        let mut state = self.shared.state.lock();
        let is_full = self.shared.is_memory_full(&state);
        let mut queues = state.queues.iter_mut();
        let (command, queue) = queues.find(|(_, queue)| queue.wants_load(is_full))?;
        Some((Arc::clone(command), queue.number, queue.begin_load(is_full)))
    }

    /// Reads events of the command `number` back. What cannot be read for longer than a disk's fault may last is lost.
    /// None if the runtime is going down.
    async fn read(&self, number: u64, stored: Vec<Stored>) -> Option<Vec<(Stored, Vec<Entry>)>> {
        let mut read: Vec<Reading> = stored.into_iter().map(Reading::new).collect();
        let mut pauses = READ_PAUSES.iter();
        loop {
            let shared = Arc::clone(&self.shared);
            let reading = tokio::task::spawn_blocking(move || shared.read(number, read));
            read = reading.await.ok()?;
            let failed = read.iter().find_map(|reading| reading.error.as_ref());
            let Some(error) = failed else { break };
            let Some(pause) = pauses.next() else { break };
            tracing::warn!(%error, "the outbox cannot be read, and is tried again");
            tokio::time::sleep(*pause).await;
        }
        Some(read.into_iter().map(Reading::take).collect())
    }

    fn loaded(&self, command: &Arc<str>, read: Vec<(Stored, Vec<Entry>)>) {
        let mut state = self.shared.state.lock();
        let State {
            queues,
            turns,
            in_memory,
            ..
        } = &mut *state;
        let Some(queue) = queues.get_mut(command) else {
            return;
        };
        let (bytes, settled) = queue.loaded(read);
        *in_memory += bytes;
        if queue.wants_turn() {
            turns.push_back(Arc::clone(command));
        }
        let (number, seq) = (queue.number, queue.settled_seq());
        let handled = state.forget_settled(command);
        drop(state);
        handled.into_iter().for_each(Scope::end);
        self.shared.settled(number, seq, &settled);
        self.shared.ready.notify_one();
    }
}

impl Shared {
    /// Whether there are as many events in memory as there may be.
    pub(super) fn is_memory_full(&self, state: &State) -> bool {
        state.in_memory >= self.memory
    }

    /// Reads what is not read yet.
    fn read(&self, number: u64, mut all: Vec<Reading>) -> Vec<Reading> {
        for reading in &mut all {
            let Stored::Run(run) = &reading.stored else {
                continue;
            };
            if reading.entries.is_some() {
                continue;
            }
            reading.error = None;
            match self.journal.read(number, run) {
                Ok(entries) => reading.entries = Some(entries),
                Err(error) => reading.error = Some(error),
            }
        }
        all
    }

    /// Tells the journal and whoever waits what was settled.
    pub(super) fn settled(&self, number: u64, seq: u64, settled: &Settled) {
        if settled.by_segment.is_empty() && !settled.is_more {
            return;
        }
        self.metrics.events_settled.inc_by(settled.events);
        self.journal.settled(number, seq, &settled.by_segment);
        self.moved.notify_waiters();
    }
}

impl Outlet for Shared {
    fn durable(&self, groups: Vec<(Group, Run)>) {
        let mut state = self.state.lock();
        let State {
            queues,
            turns,
            in_memory,
            ..
        } = &mut *state;
        let (mut unwritten, mut load) = (0, false);
        for (group, run) in groups {
            unwritten += group.unwritten;
            // Gone only when the runner stops.
            let Some(queue) = queues.get_mut(&group.command_id) else {
                continue;
            };
            let in_front = queue.takes_in_front() && *in_memory < self.memory;
            *in_memory += queue.durable(group.entries, run, in_front);
            load |= queue.wants_load(*in_memory >= self.memory);
            if queue.wants_turn() {
                turns.push_back(group.command_id);
            }
        }
        drop(state);
        self.unwritten.add_permits(unwritten);
        self.ready.notify_one();
        self.moved.notify_waiters();
        if load {
            self.load.notify_one();
        }
    }

    fn freed(&self, room: Room) {
        self.room.add_permits(room.bytes);
        self.reserve.add_permits(room.reserve);
        let bytes = to_gauge(room.bytes + room.reserve);
        self.metrics.outbox_bytes.dec_by(bytes);
    }

    fn stalled(&self, error: Option<&io::Error>) {
        self.metrics.outbox_stalled.set(error.is_some().into());
        self.stalled.send_replace(error.map(ToString::to_string));
    }
}
