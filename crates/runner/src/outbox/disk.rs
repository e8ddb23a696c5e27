//! The outbox towards its journal: what becomes durable is put where it can be sent from, and what is on disk only is
//! loaded when it is wanted.

use std::io;
use std::sync::Arc;

use super::entry::Entry;
use super::journal::{Group, Outlet, Room, Run};
use super::queue::{Settled, Stored};
use super::{Outbox, Shared, State, to_gauge};

impl Outbox {
    /// Loads what is on disk only when it is wanted; never ends.
    pub(crate) async fn load(self) {
        loop {
            self.shared.load.notified().await;
            while let Some((command, stored)) = self.next_load() {
                let shared = Arc::clone(&self.shared);
                let read = tokio::task::spawn_blocking(move || shared.read(stored)).await;
                match read {
                    Ok(read) => self.loaded(&command, read),
                    // The runtime is going down.
                    Err(_) => return,
                }
            }
        }
    }

    fn next_load(&self) -> Option<(Arc<str>, Vec<Stored>)> {
        let mut state = self.shared.state.lock();
        let mut queues = state.queues.iter_mut();
        let (command, queue) = queues.find(|(_, queue)| queue.wants_load())?;
        Some((Arc::clone(command), queue.begin_load()))
    }

    fn loaded(&self, command: &Arc<str>, read: Vec<(Stored, Option<Vec<Entry>>)>) {
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
        state.forget_settled(command);
        drop(state);
        self.shared.settled(number, seq, &settled);
        self.shared.ready.notify_one();
    }
}

impl Shared {
    /// Reads events back, run by run; none where they are lost.
    fn read(&self, stored: Vec<Stored>) -> Vec<(Stored, Option<Vec<Entry>>)> {
        let read = |stored: Stored| {
            let Stored::Run(run) = &stored else {
                return (stored, None);
            };
            let entries = match self.journal.read(run) {
                Ok(entries) => Some(entries),
                Err(error) => {
                    let (from, to) = (run.first_seq, run.last_seq);
                    tracing::error!(%error, from, to, "events are lost");
                    None
                }
            };
            (stored, entries)
        };
        stored.into_iter().map(read).collect()
    }

    /// Tells the journal and whoever waits what was settled.
    pub(super) fn settled(&self, number: u64, seq: u64, settled: &Settled) {
        if settled.by_segment.is_empty() {
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
            load |= queue.wants_load();
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
