//! Rooms: one for each build or project that somebody follows.
//!
//! A room is a task. It takes changes from the processor's feed, gathers them for a moment, and hands what
//! has gathered to its clients. It outlives its last client for a while, so that one that comes back is
//! given what it missed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hopline_processor::feed::{Change, Delivery, Feed, Interest, Subscription};
use hopline_telemetry::Tracer;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::batch::Batch;
use super::flush::{Flush, OpenFlushes};
use super::queue::Queue;
use super::recent::Recent;
use crate::metrics::Counters;
use crate::options::LiveOptions;

/// How long a room outlives its last client, at least; twice that at most.
const LINGER: Duration = Duration::from_secs(60);

/// How many requests of clients may wait for a room.
const WAITING_JOINS: usize = 64;

/// All rooms; cheap to clone.
#[derive(Clone)]
pub(crate) struct Hub {
    shared: Arc<Shared>,
}

struct Shared {
    feed: Feed,
    tracer: Tracer,
    options: LiveOptions,
    counters: Counters,
    rooms: Mutex<HashMap<Interest, mpsc::Sender<Join>>>,
    tasks: TaskTracker,
    threads: Handle,
    /// The runtime that all else runs on.
    home: Handle,
    stopping: CancellationToken,
}

struct Join {
    queue: Arc<Queue>,
    since: Option<(Uuid, u64)>,
    joined: oneshot::Sender<Joined>,
}

/// What a client learns when it has joined a room.
pub(super) struct Joined {
    /// Whether everything after `since` is on its way; else the client is to take a snapshot.
    pub(super) caught_up: bool,
}

impl Hub {
    pub(crate) fn new(
        feed: Feed,
        tracer: Tracer,
        options: LiveOptions,
        counters: Counters,
        tasks: TaskTracker,
        threads: Handle,
        stopping: CancellationToken,
    ) -> Self {
        let shared = Shared {
            feed,
            tracer,
            options,
            counters,
            rooms: Mutex::default(),
            tasks,
            threads,
            home: Handle::current(),
            stopping,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Begins to follow. From now on everything comes into `queue`; with `since` (a build and its last
    /// event that the client knows) also what came before, if the room still has it. The client follows
    /// for as long as it keeps its queue.
    ///
    /// Gives nothing if the server is stopping.
    pub(super) async fn join(
        &self,
        interest: Interest,
        queue: &Arc<Queue>,
        since: Option<(Uuid, u64)>,
    ) -> Option<Joined> {
        loop {
            let room = self.room(interest)?;
            let (joined, answer) = oneshot::channel();
            let join = Join {
                queue: Arc::clone(queue),
                since,
                joined,
            };
            // A room that is just closing takes nobody in; the next one does.
            if room.send(join).await.is_ok()
                && let Ok(joined) = answer.await
            {
                return Some(joined);
            }
        }
    }

    /// Reads rows for a client, on the threads of all else. Gives nothing if the server is ending.
    pub(super) async fn at_home<T: Send + 'static>(
        &self,
        reading: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        self.shared.home.spawn(reading).await.ok()
    }

    /// Serves a client on the threads of live updates.
    pub(super) fn serve(&self, client: impl Future<Output = ()> + Send + 'static) {
        let shared = &self.shared;
        shared.tasks.spawn_on(client, &shared.threads);
    }

    fn room(&self, interest: Interest) -> Option<mpsc::Sender<Join>> {
        if self.shared.stopping.is_cancelled() {
            return None;
        }
        let mut rooms = self.shared.rooms.lock();
        if let Some(room) = rooms.get(&interest).filter(|room| !room.is_closed()) {
            return Some(room.clone());
        }
        let (sender, joins) = mpsc::channel(WAITING_JOINS);
        rooms.insert(interest, sender.clone());
        let room = Room {
            shared: Arc::clone(&self.shared),
            interest,
            subscription: self.shared.feed.subscribe(interest),
            clients: Vec::new(),
            gathered: Vec::new(),
            flush_at: None,
            open: OpenFlushes::default(),
            recent: Recent::default(),
            looked_at: Instant::now(),
            is_empty: false,
        };
        let shared = &self.shared;
        shared.tasks.spawn_on(room.run(joins), &shared.threads);
        Some(sender)
    }
}

struct Room {
    shared: Arc<Shared>,
    interest: Interest,
    subscription: Subscription,
    clients: Vec<std::sync::Weak<Queue>>,
    gathered: Vec<Arc<Change>>,
    flush_at: Option<Instant>,
    open: OpenFlushes,
    recent: Recent,
    /// When it was last looked whether anybody is here, and whether nobody was.
    looked_at: Instant,
    is_empty: bool,
}

impl Room {
    async fn run(mut self, mut joins: mpsc::Receiver<Join>) {
        let stopping = self.shared.stopping.clone();
        loop {
            let next = self.flush_at.unwrap_or_else(|| self.looked_at + LINGER);
            let next = self.open.due().map_or(next, |due| due.min(next));
            tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                join = joins.recv() => match join {
                    Some(join) => self.admit(join),
                    None => break,
                },
                delivery = self.subscription.next() => self.take(delivery),
                () = sleep_until(next) => {
                    let now = Instant::now();
                    self.open.show();
                    if self.flush_at.is_some_and(|at| now >= at) {
                        self.flush();
                    } else if self.flush_at.is_none()
                        && now >= self.looked_at + LINGER
                        && self.is_deserted()
                    {
                        break;
                    }
                }
            }
        }
        joins.close();
        let mut rooms = self.shared.rooms.lock();
        if rooms
            .get(&self.interest)
            .is_some_and(mpsc::Sender::is_closed)
        {
            rooms.remove(&self.interest);
        }
    }

    fn admit(&mut self, join: Join) {
        // Whatever is gathered is older than the client; let the others have it first.
        self.flush();
        let missed = join
            .since
            .and_then(|(session, seq)| self.recent.after(session, seq));
        let caught_up = missed.is_some();
        for batch in missed.into_iter().flatten() {
            join.queue.push(&batch, None);
        }
        self.clients.push(Arc::downgrade(&join.queue));
        // A client that has gone meanwhile drops its queue, and is forgotten at the next flush.
        let _ = join.joined.send(Joined { caught_up });
    }

    fn take(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Change(change) => {
                let urgent = change.urgent;
                self.gathered.push(change);
                let now = Instant::now();
                let flush_at = *self
                    .flush_at
                    .get_or_insert(now + self.shared.options.flush_interval);
                // Looked at here too, since a feed that never pauses leaves the timer no turn.
                if urgent || now >= flush_at {
                    self.flush();
                }
            }
            Delivery::Lagged => {
                // Happens to whoever begins to follow in the midst of a commit, and is no reason to worry.
                tracing::debug!("live updates left a change out; clients get snapshots");
                self.gathered.clear();
                self.flush_at = None;
                self.recent = Recent::default();
                for client in self.present() {
                    client.lag();
                }
            }
        }
    }

    fn flush(&mut self) {
        self.flush_at = None;
        if self.gathered.is_empty() {
            return;
        }
        let begun = std::time::Instant::now();
        let gathered = std::mem::take(&mut self.gathered);
        let clients = self.present();
        let (flush, contexts) = if clients.is_empty() {
            (None, Vec::new())
        } else {
            let (flush, contexts) = Flush::begin(&self.shared.tracer, &gathered, clients.len());
            let flush = Arc::new(flush);
            // Looked at here too: see `take`.
            self.open.show();
            self.open.add(&flush);
            (Some(flush), contexts)
        };
        for changes in by_session(gathered) {
            let context = changes
                .iter()
                .flat_map(|change| &change.traces)
                .find_map(|trace| {
                    let id = trace.context.trace_id;
                    contexts.iter().find(|context| context.trace_id == id)
                });
            let after = changes
                .first()
                .and_then(|first| self.recent.last_seq(first.session_id));
            let Some(batch) = Batch::new(changes, after, context) else {
                continue;
            };
            let batch = Arc::new(batch);
            for client in &clients {
                client.push(&batch, flush.as_ref());
            }
            self.recent.keep(batch);
        }
        self.shared.counters.flushes.inc();
        self.shared
            .counters
            .publishing
            .observe(begun.elapsed().as_secs_f64());
    }

    /// The clients that are still there; the others are forgotten.
    fn present(&mut self) -> Vec<Arc<Queue>> {
        let mut present = Vec::with_capacity(self.clients.len());
        self.clients.retain(|client| {
            let client = client.upgrade();
            present.extend(client.clone());
            client.is_some()
        });
        present
    }

    /// Looks whether anybody is here; true if nobody was the last time either.
    fn is_deserted(&mut self) -> bool {
        let was_empty = self.is_empty;
        self.is_empty = self.present().is_empty();
        self.looked_at = Instant::now();
        was_empty && self.is_empty
    }
}

/// The changes of each build together, the order of each build's kept.
fn by_session(changes: Vec<Arc<Change>>) -> Vec<Vec<Arc<Change>>> {
    let mut sessions: Vec<Vec<Arc<Change>>> = Vec::new();
    for change in changes {
        let session = sessions
            .iter_mut()
            .find(|changes| changes[0].session_id == change.session_id);
        match session {
            Some(changes) => changes.push(change),
            None => sessions.push(vec![change]),
        }
    }
    sessions
}

#[cfg(test)]
pub(super) mod testing {
    use hopline_processor::feed::{Change, Update, UpdateKind};
    use hopline_wire::Timestamp;
    use serde_json::value::to_raw_value;
    use uuid::Uuid;

    /// A change with one piece of text.
    pub(in crate::live) fn change(session_id: Uuid, seq: u64, text: &str) -> Change {
        Change {
            project_id: Uuid::nil(),
            session_id,
            after: seq.saturating_sub(1),
            seq,
            updates: vec![Update {
                kind: UpdateKind::TextDelta,
                data: to_raw_value(text).unwrap(),
                timestamp: Timestamp::default(),
            }],
            urgent: false,
            traces: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::change;
    use super::*;

    #[test]
    fn changes_are_gathered_by_build_in_their_order() {
        let changes = [(1, 1), (2, 1), (1, 2)]
            .map(|(session, seq)| Arc::new(change(Uuid::from_u128(session), seq, "x")));
        let gathered: Vec<Vec<u64>> = by_session(changes.to_vec())
            .iter()
            .map(|changes| changes.iter().map(|change| change.seq).collect())
            .collect();
        assert_eq!(gathered, [vec![1, 2], vec![1]]);
    }
}
