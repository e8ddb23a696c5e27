//! Taking events in: room for them, and their way to the journal.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use super::entry::Entry;
use super::journal::{Group, Known, Record, Room, Run};
use super::queue::Queue;
use super::{Outbox, PACE, PIECE_BYTES, RESERVE_BYTES, UNWRITTEN_BYTES, to_gauge};
use crate::events::Stream;

impl Outbox {
    /// Makes a place for a command's events.
    pub(crate) fn begin(&self, stream: &Arc<Stream>) {
        let mut state = self.shared.state.lock();
        state.last_number += 1;
        let queue = Queue::new(Arc::clone(stream), state.last_number);
        state.queues.insert(Arc::clone(&stream.command_id), queue);
    }

    /// Takes over a command that an earlier process left, with its events.
    pub(crate) fn adopt(&self, stream: &Arc<Stream>, number: u64, known: &Known, runs: Vec<Run>) {
        let queue = Queue::recovered(Arc::clone(stream), number, known, runs);
        let mut state = self.shared.state.lock();
        state.queues.insert(Arc::clone(&stream.command_id), queue);
        drop(state);
        self.shared.load.notify_one();
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
            if !reserved {
                self.keep_pace(command).await;
            }
            let (charged, room) = self.charge(bytes, reserved).await;
            let unwritten = bytes.min(UNWRITTEN_BYTES);
            // The semaphores are never closed.
            if let Ok(permit) = self.shared.unwritten.acquire_many(permits(unwritten)).await {
                permit.forget();
            }
            if let Some(charged) = charged {
                charged.forget();
            }
            let mut state = self.shared.state.lock();
            let Some(queue) = state.queues.get_mut(command) else {
                // Only a command that was closed before its last event could come here.
                tracing::error!(%command, "events after the end of their command");
                entries.clear();
                return;
            };
            let opened = queue.writing(count);
            let group = Group {
                number: queue.number,
                command_id: Arc::clone(command),
                entries: entries.drain(..count).collect(),
                room,
                unwritten,
            };
            drop(state);
            let taken = room.bytes + room.reserve;
            self.shared.metrics.outbox_bytes.inc_by(to_gauge(taken));
            let opened = opened.map(|head| Record::Opened(group.number, head));
            let records = opened.into_iter().chain([Record::Events(group)]);
            self.shared.journal.write(records);
        }
    }

    /// Waits while events are being settled, and memory is full or has the command's last ones no more.
    async fn keep_pace(&self, command: &str) {
        loop {
            let moved = self.shared.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let settled_at = {
                let state = self.shared.state.lock();
                let behind = state.queues.get(command).is_some_and(Queue::is_behind);
                let full = state.in_memory >= self.shared.memory;
                state.settled_at.filter(|_| full || behind)
            };
            let Some(settled_at) = settled_at else { return };
            let until = settled_at + PACE;
            if Instant::now() >= until {
                return;
            }
            // Whether that is up is asked above.
            let _ = tokio::time::timeout_at(until, moved).await;
        }
    }

    /// Waits for so many bytes of room, or half of what there can ever be.
    async fn charge(&self, bytes: usize, reserved: bool) -> (Option<SemaphorePermit<'_>>, Room) {
        let bytes = bytes.min(self.shared.capacity / 2);
        let room = &self.shared.room;
        let taken = Room { bytes, reserve: 0 };
        if !reserved {
            return (room.acquire_many(permits(bytes)).await.ok(), taken);
        }
        let reserve = bytes.min(RESERVE_BYTES / 2);
        // Whichever has it first: while others hold the reserve, the ordinary room may become free.
        tokio::select! {
            biased;
            permit = room.acquire_many(permits(bytes)) => (permit.ok(), taken),
            permit = self.shared.reserve.acquire_many(permits(reserve)) => {
                (permit.ok(), Room { bytes: 0, reserve })
            }
        }
    }

    /// Waits until everything that was pushed of a command is durable.
    pub(crate) async fn durable(&self, command: &str) {
        let is_durable = || {
            let state = self.shared.state.lock();
            state.queues.get(command).is_none_or(Queue::is_durable)
        };
        self.until(is_durable).await;
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
